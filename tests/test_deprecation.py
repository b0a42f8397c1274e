"""Names that go: they work, warn at the caller's line, and look like what they wrap."""

import inspect
import warnings

import pytest

from fastembed._deprecation import deprecated, renamed_parameter


class Model:
    @deprecated("Model.train", since="0.2", removal="0.4")
    def learn(self, epochs=1):
        """Train."""
        return ("trained", epochs)

    @renamed_parameter("size", "dim", since="0.2", removal="0.4")
    def resize(self, dim, *, copy=True):
        """Change the width."""
        return (dim, copy)


def test_a_deprecated_method_warns_and_works():
    with pytest.warns(FutureWarning) as caught:
        assert Model().learn(epochs=3) == ("trained", 3)
    assert [str(warning.message) for warning in caught] == [
        "Model.learn is deprecated since 0.2 and goes in 0.4: use Model.train"
    ]
    assert caught[0].filename == __file__


def test_the_old_name_of_a_parameter_warns_and_works():
    with pytest.warns(FutureWarning) as caught:
        assert Model().resize(size=7, copy=False) == (7, False)
    assert [str(warning.message) for warning in caught] == [
        "Model.resize(): 'size' is called 'dim' since 0.2, and the old name goes in 0.4"
    ]
    assert caught[0].filename == __file__


def test_the_new_name_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Model().resize(7) == Model().resize(dim=7) == (7, True)


def test_both_names_are_an_error():
    with pytest.raises(TypeError, match=r"^Model\.resize\(\) got 'dim' and also 'size', its old name$"):
        Model().resize(dim=7, size=7)
    with pytest.raises(TypeError, match="multiple values"), pytest.warns(FutureWarning):
        Model().resize(7, size=7)


def test_what_is_wrapped_keeps_its_name_documentation_and_signature():
    assert (Model.learn.__qualname__, Model.learn.__doc__) == ("Model.learn", "Train.")
    assert list(inspect.signature(Model.resize).parameters) == ["self", "dim", "copy"]

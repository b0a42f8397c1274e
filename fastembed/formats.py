"""The files themselves: safetensors with the tokens inside, and the word2vec text and binary forms.

Every file is written under a temporary name in its own folder and renamed when it is complete, so that a failed write
leaves the old file whole. Nothing here is ever unpickled or executed.
"""

import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

Array = npt.NDArray[Any]
_DTYPES = {"BOOL": "?", **{f"{kind}{8 * n}": f"<{kind.lower()}{n}" for kind in "FIU" for n in (1, 2, 4, 8)}}


def writable(path: str | os.PathLike[str]) -> Path:
    """Return the file that writing `path` would make or replace, after checking that it can be one.

    Raises
    ------
    OSError
        If the folder is missing or may not be written to, or `path` is something else than a file.

    Examples
    --------
    >>> writable("nowhere/words.txt")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    FileNotFoundError: cannot write 'nowhere/words.txt': the folder ... does not exist
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {str(path)!r}: the folder {str(target.parent)!r} does not exist")
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(f"cannot write {str(path)!r}: the folder {str(target.parent)!r} may not be written to")
    if target.exists() and not target.is_file():
        raise OSError(f"cannot write {str(path)!r}: it exists and is not a regular file")
    return target


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary file to write; when the block ends well it becomes `path`, otherwise it is removed.

    Parameters
    ----------
    path : path-like
        The file to make or to replace. A symbolic link is followed.

    Yields
    ------
    pathlib.Path
        An empty file in the same folder.

    Raises
    ------
    OSError
        As :func:`writable`, or if the disk refuses the data.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(f"{folder}/words.txt") as temporary:
    ...         _ = temporary.write_text("one two")
    ...     [file.name for file in Path(folder).iterdir()]
    ['words.txt']
    """
    target = writable(path)
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        temporary.touch(exist_ok=False)
        mode = (target if target.exists() else temporary).stat().st_mode
        yield temporary
        temporary.chmod(mode)  # safetensors writes a private file of its own and renames it over ours
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays and text fields as one safetensors file, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file to make or to replace.
    tensors : mapping of str to ndarray
        Boolean, integer, or float arrays of any shape and memory order.
    metadata : mapping of str to str, optional
        Fields for the header.

    Raises
    ------
    TypeError
        If an array has another dtype, or a metadata field is not text.
    OSError
        If the folder is missing or the disk refuses the data; the old file is then untouched.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tensors(f"{folder}/a.safetensors", {"a": np.arange(3)}, {"unit": "m"})
    ...     read_tensors(f"{folder}/a.safetensors")
    ({'a': array([0, 1, 2])}, {'unit': 'm'})
    """
    fields = dict(metadata or {})
    for key, value in fields.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"metadata must map str to str, got {key!r}: {value!r}")
    for name, tensor in tensors.items():
        if not isinstance(tensor, np.ndarray) or tensor.dtype.kind not in "biuf" or tensor.itemsize > 8:
            found = tensor.dtype if isinstance(tensor, np.ndarray) else type(tensor).__name__
            raise TypeError(f"tensor {name!r} must be an array of bools, integers or floats, got {found}")
    dense = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(dense, temporary, metadata=fields)
        except SafetensorError as error:
            raise OSError(f"cannot write {str(path)!r}: {error}") from error
        _sort_header(temporary)


def _sort_header(path: Path) -> None:
    """Put a header's keys in order: safetensors gives those of the metadata in another one each time.

    With it equal contents are equal files. The arrays stay where they are: both writers of JSON escape alike, so that
    the header keeps its length.
    """
    with path.open("rb+") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        text = json.dumps(header, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
        file.seek(8)
        file.write(text.ljust(length))


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """Read a safetensors file.

    Parameters
    ----------
    path : path-like
        A file of :func:`write_tensors`, or any other safetensors file NumPy has the dtypes for.

    Returns
    -------
    tensors : dict of str to ndarray
    metadata : dict of str to str
        The header's text fields; empty if it has none.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is not a whole safetensors file.

    Examples
    --------
    See :func:`write_tensors`.
    """
    with Path(path).open("rb"):
        pass  # safe_open calls every file it cannot open "not found"; this raises what is really the matter
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is not a dict
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, TypeError, AttributeError) as error:
        raise ValueError(f"{str(path)!r} is not a whole safetensors file: {error}") from error


def map_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """Read a safetensors file as :func:`read_tensors` does, but map its arrays into memory, read-only.

    Parameters
    ----------
    path : path-like
        It must not be shortened while the arrays are in use; replacing it, as all writers here do, is no harm.

    Returns
    -------
    tensors : dict of str to ndarray
    metadata : dict of str to str

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is not a whole safetensors file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tensors(f"{folder}/a.safetensors", {"a": np.arange(3)})
    ...     map_tensors(f"{folder}/a.safetensors")
    ({'a': array([0, 1, 2])}, {})
    """
    with Path(path).open("rb") as file:
        try:
            with safe_open(path, framework="numpy"):
                pass  # the header is sound, and the arrays are all there
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
            metadata = header.pop("__metadata__", {})
            tensors = {}
            for name, entry in header.items():
                dtype, shape, start = (
                    _DTYPES[entry["dtype"]],
                    tuple(entry["shape"]),
                    8 + length + entry["data_offsets"][0],
                )
                empty = 0 in shape
                tensors[name] = (
                    np.empty(shape, dtype) if empty else np.asarray(np.memmap(file, dtype, "r", start, shape))
                )
        except (SafetensorError, KeyError) as error:
            raise ValueError(f"{str(path)!r} is not a whole safetensors file: {error}") from error
    return tensors, metadata


def pack_tokens(tokens: Sequence[str]) -> dict[str, Array]:
    """Return the two tensors that hold V tokens without loss: their UTF-8 text end to end, and V + 1 offsets into it.

    Parameters
    ----------
    tokens : sequence of str

    Returns
    -------
    dict
        ``"tokens.utf8"``, uint8 (bytes,), and ``"tokens.offsets"``, int64 (V + 1,).

    Raises
    ------
    ValueError
        If a token has no UTF-8 form (a lone surrogate).

    Examples
    --------
    >>> packed = pack_tokens(["ein", "schöner", "tag"])
    >>> packed["tokens.offsets"]
    array([ 0,  3, 11, 14])
    >>> unpack_tokens(packed, "memory")
    ['ein', 'schöner', 'tag']
    """
    encoded = [_utf8(token) for token in tokens]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded)), out=offsets[1:])
    return {"tokens.utf8": np.frombuffer(b"".join(encoded), dtype=np.uint8), "tokens.offsets": offsets}


def unpack_tokens(tensors: Mapping[str, Array], path: str | os.PathLike[str]) -> list[str]:
    """Return the tokens :func:`pack_tokens` stored; `path` names the file in errors.

    Raises
    ------
    ValueError
        If the two tensors are missing or do not fit together.

    Examples
    --------
    >>> unpack_tokens(pack_tokens(["a", "b"]), "memory")
    ['a', 'b']
    """
    for name, dtype in (("tokens.utf8", np.uint8), ("tokens.offsets", np.int64)):
        if name not in tensors:
            raise ValueError(f"{str(path)!r} holds no tensor {name!r}, so no tokens: it holds {sorted(tensors)}")
        found = tensors[name]
        if found.dtype != dtype or found.ndim != 1:
            wanted = f"a row of {np.dtype(dtype)}"
            raise ValueError(f"{str(path)!r}: {name!r} must be {wanted}, got {found.dtype} of shape {found.shape}")
    offsets = tensors["tokens.offsets"]
    text = tensors["tokens.utf8"].tobytes()
    if offsets.size == 0 or offsets[0] != 0 or offsets[-1] != len(text) or np.any(offsets[1:] < offsets[:-1]):
        raise ValueError(f"{str(path)!r}: 'tokens.offsets' must rise from 0 to the {len(text)} bytes of 'tokens.utf8'")
    bounds = offsets.tolist()
    try:
        return [text[start:end].decode() for start, end in pairwise(bounds)]
    except UnicodeDecodeError as error:
        raise ValueError(f"{str(path)!r}: a token is not UTF-8: {error}") from error


def header(kind: str, settings: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the metadata of a file of ours: the kind of thing it holds, the form's version, the settings as JSON.

    Parameters
    ----------
    kind : str
        As ``"vectors"``.
    settings : mapping, optional
        Anything JSON can hold.

    Returns
    -------
    dict of str to str

    Raises
    ------
    TypeError, ValueError
        If the settings are not JSON.

    Examples
    --------
    >>> header("vectors", {"dim": 100})
    {'format': 'fastembed.vectors', 'version': '1', 'settings': '{"dim": 100}'}
    """
    text = json.dumps(dict(settings or {}), allow_nan=False, ensure_ascii=False)
    return {"format": f"fastembed.{kind}", "version": "1", "settings": text}


def check_header(metadata: Mapping[str, str], kind: str, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the settings in `metadata` after checking that the file holds the `kind` of thing expected.

    Raises
    ------
    ValueError
        If the file holds something else, is of a later version, or its settings are not JSON.

    Examples
    --------
    >>> check_header(header("vectors", {"dim": 100}), "vectors", "memory")
    {'dim': 100}
    """
    found = metadata.get("format")
    if found != f"fastembed.{kind}":
        holds = f"the format {found!r}" if found else "no format of fastembed"
        raise ValueError(f"{str(path)!r} holds {holds}; 'fastembed.{kind}' was expected")
    if metadata.get("version") != "1":
        raise ValueError(f"{str(path)!r} is of version {metadata.get('version')!r}; this fastembed reads version '1'")
    try:
        settings = json.loads(metadata.get("settings", "{}"))
    except ValueError as error:
        raise ValueError(f"{str(path)!r}: its settings are not JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{str(path)!r}: its settings must be a JSON object, got {settings!r}")
    return settings


def _utf8(token: str) -> bytes:
    """Return the UTF-8 form of a token, or say which token has none."""
    try:
        return token.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"token {token!r} has no UTF-8 form: {error}") from error


def write_word2vec(
    path: str | os.PathLike[str], tokens: Sequence[str], matrix: npt.NDArray[np.floating], binary: bool
) -> None:
    """Write vectors in the form of the word2vec tool: a line "V D", then each token and its D float32 numbers.

    In the text form nine significant digits a number bring every float32 back exactly; in the binary form the numbers
    are little-endian and a newline ends each vector.

    Parameters
    ----------
    path : path-like
    tokens : sequence of str, length V
    matrix : ndarray, shape (V, D)
        Rounded to float32, which is what the form holds.
    binary : bool

    Raises
    ------
    ValueError
        If a token is empty or contains white space, which separates the fields, or a number exceeds float32.
    OSError
        If the folder is missing or the disk refuses the data; the old file is then untouched.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_word2vec(f"{folder}/v.txt", ["one", "two"], np.eye(2), binary=False)
    ...     print(Path(f"{folder}/v.txt").read_text())
    2 2
    one 1 0
    two 0 1
    <BLANKLINE>
    """
    for token in tokens:
        if token.split() != [token]:
            raise ValueError(f"token {token!r} is empty or contains white space, which word2vec files cannot hold")
    names = [_utf8(token) for token in tokens]
    limit = np.finfo(np.float32).max
    if matrix.size and np.abs(matrix).max() > limit:
        raise ValueError(f"the word2vec form holds float32, at most {limit:.8g}; got {np.abs(matrix).max():.8g}")
    number = b" %.9g" * matrix.shape[1] + b"\n"
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(b"%d %d\n" % matrix.shape)
        for name, row in zip(names, matrix.astype("<f4"), strict=True):
            file.write(name)
            file.write(b" " + row.tobytes() + b"\n" if binary else number % tuple(row.tolist()))


def read_word2vec(path: str | os.PathLike[str], binary: bool) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Read a file in the form of the word2vec tool, gensim or fastText's ``.vec``.

    Parameters
    ----------
    path : path-like
    binary : bool
        Which of the two forms it is in.

    Returns
    -------
    tokens : list of str, length V
    matrix : ndarray of float32, shape (V, D)

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is not such a file, ends early or goes on after the last vector; the line or vector is named.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_word2vec(f"{folder}/v.bin", ["one", "two"], np.eye(2), binary=True)
    ...     read_word2vec(f"{folder}/v.bin", binary=True)
    (['one', 'two'], array([[1., 0.],
           [0., 1.]], dtype=float32))
    """
    with Path(path).open("rb") as file:
        first = file.readline(100)
        fields = first.split()
        if len(fields) != 2 or not all(field.isdigit() for field in fields):
            raise ValueError(f"{str(path)!r}: a word2vec file begins with a line 'V D', got {first!r}")
        shape = int(fields[0]), int(fields[1])
        left = os.fstat(file.fileno()).st_size - len(first)
        if shape[1] == 0 or left < shape[0] * (1 + shape[1] * (4 if binary else 2)):
            raise ValueError(f"{str(path)!r} promises {shape[0]} vectors of {shape[1]}, too many for its {left} bytes")
        matrix = np.empty(shape, dtype=np.float32)
        tokens = (_read_binary if binary else _read_text)(file, matrix, str(path))
        if rest := file.read(100).strip():
            raise ValueError(f"{str(path)!r} goes on after the {shape[0]} vectors it promises: {rest[:40]!r}")
    return tokens, matrix


def _read_text(file: BinaryIO, matrix: npt.NDArray[np.float32], path: str) -> list[str]:
    """Fill `matrix` from lines "token number ... number" and return the tokens."""
    tokens = []
    for row in range(len(matrix)):
        fields = file.readline().rstrip(b" \r\n").split(b" ")
        where = f"{path!r}, line {row + 2}"
        if len(fields) != matrix.shape[1] + 1:
            raise ValueError(f"{where}: a token and {matrix.shape[1]} numbers expected, got {len(fields)} fields")
        try:
            tokens.append(fields[0].decode())
            with np.errstate(over="ignore"):  # beyond float32: infinity, which Vectors refuses
                matrix[row] = [float(field) for field in fields[1:]]
        except ValueError as error:  # UnicodeDecodeError is one
            raise ValueError(f"{where}: {error}") from error
    return tokens


def _read_binary(file: BinaryIO, matrix: npt.NDArray[np.float32], path: str) -> list[str]:
    """Fill `matrix` from records "token, space, D little-endian float32, optional newline" and return the tokens."""
    tokens = []
    size = 4 * matrix.shape[1]
    for row in range(len(matrix)):
        name = b"".join(iter(lambda: file.read(1).strip(b" "), b"")).lstrip(b"\n")  # up to a space or the end
        numbers = file.read(size)
        where = f"{path!r}, vector {row + 1} of {len(matrix)}"
        if len(numbers) < size:
            raise ValueError(f"{where}: the file ends inside it")
        try:
            tokens.append(name.decode())
        except UnicodeDecodeError as error:
            raise ValueError(f"{where}: {error}") from error
        matrix[row] = np.frombuffer(numbers, dtype="<f4")
    return tokens

"""numpydoc's checks of the docstrings of public names: run by `make lint`, from the folder of pyproject.toml."""

import sys

from numpydoc.hooks.validate_docstrings import parse_config, process_file

from test_api import public_objects

config = parse_config(".")
public = {value.__name__ for value in public_objects().values()}
files = {f"{value.__module__.replace('.', '/')}.py" for value in public_objects().values()}
faults = [
    f"{place}: {item}: {code} {what}"
    for file in sorted(files)
    for place, item, code, what in process_file(file, config)
    if not public.isdisjoint(item.split(".")[1:2])  # of trainer.Trainer.step the class
]
print(*faults, sep="\n")
sys.exit(bool(faults))

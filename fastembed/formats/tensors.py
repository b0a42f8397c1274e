"""Safetensors files of arrays, with tokens packed into tensors and a header that says what the file holds.

Each file holds the SHA-256 of its tensors and of its header, which are compared when the file is read. Safetensors
files of other libraries hold no SHA-256.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from io import BytesIO
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from fastembed._base.threads import check_threads, ordered_map
from fastembed._base.validation import LARGEST, encode_tokens
from fastembed.formats.atomic import replacing
from fastembed.formats.table import PathLike, Table, opened

Array = npt.NDArray[Any]
Place = tuple[np.dtype[Any], tuple[int, ...], int]  # the dtype and the shape of an array, and its first byte in a file
_NUMBERS = ("F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64")
_DTYPES = {"BOOL": np.dtype("?"), **{name: np.dtype(f"<{name[0].lower()}{int(name[1:]) // 8}") for name in _NUMBERS}}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
HEADER_UNIT = 8  # bytes; the arrays begin at a multiple of this
HASHED_BYTES = 1 << 24  # the bytes of a tensor that one thread hashes at a time
OF_HEADER, OF_TENSORS = "fastembed.sha256", "fastembed.sha256.tensors"  # the fields that hold the digests
UNKNOWN = 64 * "0"  # stands for the digest of the header while the header is hashed


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays and text fields as one safetensors file, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file to create or to replace.
    tensors : mapping of str to ndarray
        Boolean, integer, or float arrays of any shape and memory order.
    metadata : mapping of str to str, optional
        Fields for the header.

    Raises
    ------
    OSError
        If the folder is missing or the data cannot be written; the old file is then untouched.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tensors(f"{folder}/a.safetensors", {"a": np.arange(3)}, {"unit": "m"})
    ...     map_tensors(f"{folder}/a.safetensors")
    ({'a': array([0, 1, 2])}, {'unit': 'm'})
    """
    with replacing(path) as temporary, temporary.open("rb+") as file:
        _write(file, tensors, metadata or {})


def dump_tensors(tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of the file that :func:`write_tensors` writes.

    Parameters
    ----------
    tensors, metadata
        As for :func:`write_tensors`.

    Examples
    --------
    >>> load_tensors(dump_tensors({"a": np.arange(3)}, {"unit": "m"}), "memory")
    ({'a': array([0, 1, 2])}, {'unit': 'm'})
    """
    file = BytesIO()
    _write(file, tensors, metadata or {})
    return file.getvalue()


def _write(file: BinaryIO, tensors: Mapping[str, Array], fields: Mapping[str, str]) -> None:
    """Write a safetensors file; equal contents give equal bytes."""
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))  # so that each is aligned to its items
    metadata = {**fields, OF_HEADER: UNKNOWN, OF_TENSORS: UNKNOWN}
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name in order:
        tensor, start = tensors[name], end
        end += tensor.nbytes
        header[name] = {
            "dtype": _NAMES[tensor.dtype.newbyteorder("<")],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    file.seek(8 + len(_encoded(header)))
    digests = []
    for name in order:
        tensor = tensors[name]
        for part in _parts([np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<"))]):
            digests.append(hashlib.sha256(part).digest())
            file.write(part)
    metadata[OF_TENSORS] = hashlib.sha256(b"".join(digests)).hexdigest()
    metadata[OF_HEADER] = hashlib.sha256(_encoded(header)).hexdigest()
    text = _encoded(header)
    file.seek(0)
    file.write(len(text).to_bytes(8, "little") + text)


def _encoded(header: Mapping[str, Any]) -> bytes:
    text = json.dumps(header, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    return text.ljust(-(-len(text) // HEADER_UNIT) * HEADER_UNIT)


def _parts(arrays: Iterable[Array]) -> Iterator[memoryview]:
    """Yield the bytes of contiguous arrays in parts."""
    for array in arrays:
        data = array.reshape(-1).view(np.uint8).data
        for start in range(0, len(data), HASHED_BYTES):
            yield data[start : start + HASHED_BYTES]


def map_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """Read a safetensors file; its arrays are mapped into memory, read-only.

    Parameters
    ----------
    path : path-like
        A safetensors file whose dtypes NumPy has. The file must not be written to while the arrays are in use. It may
        be replaced by another file, except on Windows.

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
        If it is not a whole safetensors file, is not what :func:`write_tensors` wrote, or NumPy has no dtype for one of
        its tensors.
    """
    with opened(path) as file:
        header = _read_header(file, os.fstat(file.fileno()).st_size, path)
        return _arrays(np.memmap(file, np.uint8, "r"), *header, path)


def is_safetensors(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins with the length of a header in JSON, as safetensors files do; its suffix is ignored.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    """
    with opened(path) as file:
        first = file.read(9)
    return first[8:] == b"{" and int.from_bytes(first[:8], "little") < 1 << 32


def read_fields(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the metadata that :func:`map_tensors` returns, without reading the tensors.

    Raises
    ------
    OSError, ValueError
        As :func:`map_tensors`.
    """
    with opened(path) as file:
        return _read_header(file, os.fstat(file.fileno()).st_size, path)[1]


def _check_digest(tensors: Mapping[str, Array], digest: str, path: str | os.PathLike[str]) -> None:
    """Raise ValueError if the digest of the tensors, in the order of their places, is not the one in the file."""
    if not digest:  # a file of another library
        return
    threads = check_threads(None) if sum(array.nbytes for array in tensors.values()) > HASHED_BYTES else 1
    with closing(ordered_map(_sha256, _parts(tensors.values()), threads)) as digests:
        computed = hashlib.sha256(b"".join(digests)).hexdigest()
    if computed != digest:
        raise ValueError(f"{str(path)!r} is damaged: its tensors are not what was written")


def _sha256(part: memoryview) -> bytes:
    return hashlib.sha256(part).digest()


def load_tensors(data: bytes, path: str) -> tuple[dict[str, Array], dict[str, str]]:
    """Return what :func:`map_tensors` returns, from the bytes of a file.

    Parameters
    ----------
    path : str
        Names the file in errors.

    Raises
    ------
    ValueError
        As :func:`map_tensors`.
    """
    return _arrays(data, *_read_header(BytesIO(data), len(data), path), path)


def _arrays(
    data: Any, places: dict[str, Place], fields: dict[str, str], digest: str, path: str | os.PathLike[str]
) -> tuple[dict[str, Array], dict[str, str]]:
    """Check the digest of a file, and return its arrays, which share the memory of its bytes, and its fields."""
    tensors = {name: np.ndarray(shape, dtype, data, start) for name, (dtype, shape, start) in places.items()}
    _check_digest(tensors, digest, path)
    return tensors, fields


def _read_header(
    file: BinaryIO, size: int, path: str | os.PathLike[str]
) -> tuple[dict[str, Place], dict[str, str], str]:
    """Return the place of each array of a file of `size` bytes, the fields of text, and the digest of the tensors.

    The arrays must fill the file without gaps behind the header, as the format demands.
    """
    places = {}
    try:
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8:
            promise = f"it has {size:,} bytes, but its header promises {length:,}"
            raise ValueError(promise if file.read(1) == b"{" else "it has another format; Vectors.load reads several")
        text = file.read(length)
        header = json.loads(text)
        fields = header.pop("__metadata__", None) or {}
        if not all(isinstance(field, str) for field in fields.values()):
            raise ValueError("its metadata are not text")
        end = 0
        for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            shape, (start, stop) = tuple(entry["shape"]), entry["data_offsets"]
            if entry["dtype"] not in _DTYPES:
                raise ValueError(f"{name!r} is of {entry['dtype']}")
            dtype = _DTYPES[entry["dtype"]]
            whole = all(type(number) is int and number >= 0 for number in (*shape, start, stop))
            if not whole or math.prod([number or 1 for number in shape]) > LARGEST // 8:
                raise ValueError(f"{name!r} cannot have the shape {shape}")
            if start != end or stop - start != math.prod(shape) * dtype.itemsize:
                raise ValueError(f"{name!r} does not take the bytes from {start} to {stop}")
            places[name], end = (dtype, shape, 8 + length + start), stop
        if 8 + length + end != size:
            raise ValueError(f"it has {size:,} bytes, but its arrays end after {8 + length + end:,}")
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{str(path)!r} is not a whole safetensors file: {error}") from error
    header_digest, tensors_digest = fields.pop(OF_HEADER, ""), fields.pop(OF_TENSORS, "")
    if header_digest or tensors_digest or fields.get("format", "").startswith("fastembed."):
        stated, hashed = (f'"{OF_HEADER}":"{digest}"'.encode() for digest in (header_digest, UNKNOWN))
        if not tensors_digest or hashlib.sha256(text.replace(stated, hashed)).hexdigest() != header_digest:
            raise ValueError(f"{str(path)!r} is damaged: its header is not what was written")
    return places, fields, tensors_digest


def pack_tokens(tokens: Sequence[str], prefix: str = "tokens") -> dict[str, Array]:
    """Return two tensors that hold V tokens without loss: their concatenated UTF-8 text and V + 1 offsets into it.

    Parameters
    ----------
    prefix : str
        What the names of the tensors begin with.

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
    >>> unpack_tokens(packed)
    ['ein', 'schöner', 'tag']
    """
    encoded = encode_tokens(tokens)
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded)), out=offsets[1:])
    return {f"{prefix}.utf8": np.frombuffer(b"".join(encoded), dtype=np.uint8), f"{prefix}.offsets": offsets}


def unpack_tokens(tensors: Mapping[str, Array], prefix: str = "tokens") -> list[str]:
    """Return the tokens :func:`pack_tokens` stored.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        The two tensors, perhaps among others.
    prefix : str
        What the names of the tensors begin with.

    Examples
    --------
    >>> unpack_tokens(pack_tokens(["a", "b"]))
    ['a', 'b']
    """
    text, bounds = tensors[f"{prefix}.utf8"].tobytes(), tensors[f"{prefix}.offsets"].tolist()
    return [text[start:end].decode() for start, end in pairwise(bounds)]


def pack_names(names: Array, prefix: str) -> dict[str, Array]:
    """Return names, which are numbers or str objects, as tensors.

    Examples
    --------
    >>> pack_names(np.array([7, 9]), "users")
    {'users': array([7, 9])}
    >>> unpack_names(pack_names(np.array(["ann", "bob"], object), "users"), "users")
    array(['ann', 'bob'], dtype=object)
    """
    return pack_tokens(names.tolist(), f"{prefix}.tokens") if names.dtype == object else {prefix: names}


def unpack_names(tensors: Mapping[str, Array], prefix: str) -> Array:
    """Return the names that :func:`pack_names` stored."""
    if prefix in tensors:
        return np.array(tensors[prefix])
    return np.array(unpack_tokens(tensors, f"{prefix}.tokens"), object)


# ---------------------------------------------------------------- files of this library


def header(kind: str, settings: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the metadata of a file of this library: what it holds, the version of the format, the settings as JSON.

    Parameters
    ----------
    kind : str
        What the file holds, such as ``"vectors"``.
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
    """Return the settings in `metadata` after checking that the file holds what `kind` says.

    Parameters
    ----------
    metadata : mapping of str to str
        What :func:`header` made.
    path : path-like
        Names the file in errors.

    Raises
    ------
    ValueError
        If the file holds something else, or is of a later version.

    Examples
    --------
    >>> check_header(header("vectors", {"dim": 100}), "vectors", "memory")
    {'dim': 100}
    """
    name = metadata.get("format", "no format")
    if name != f"fastembed.{kind}":
        raise ValueError(f"{str(path)!r} holds {name.removeprefix('fastembed.')}, and no {kind}")
    if metadata.get("version") != "1":
        raise ValueError(f"{str(path)!r} is of version {metadata.get('version')!r}; this fastembed reads version '1'")
    settings: dict[str, Any] = json.loads(metadata["settings"])
    return settings


@contextmanager
def fitting(path: PathLike, what: str) -> Iterator[None]:
    """Raise ValueError, naming the file, for an error in a `with` block that builds an object of the file's parts.

    Parameters
    ----------
    path : path-like
        Names the file in errors.
    what : str
        The object, for the message, such as "a trainer that fits".
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        # A str, not the error: a local variable that refers to the error would keep its traceback and the mapping alive
        wrong = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{str(path)!r} does not hold {what} together: {wrong}") from error


@contextmanager
def parts_of(
    path: PathLike, kind: str, what: str
) -> Iterator[tuple[dict[str, Array], dict[str, Any], Mapping[str, str]]]:
    """Yield the tensors, the settings and the fields of text of a file, of which a `with` block builds an object.

    Parameters
    ----------
    kind : str
        As for :func:`check_header`.
    what : str
        As for :func:`fitting`.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it holds something else, is damaged, or its parts do not fit together.
    """
    tensors, metadata = map_tensors(path)
    settings = check_header(metadata, kind, path)
    with fitting(path, what):
        yield tensors, settings, metadata


def write_vectors(path: PathLike, table: Table) -> None:
    """Write the tensors "matrix", "tokens.utf8", "tokens.offsets", and if there are any, "tokens.counts" and n-grams.

    Raises
    ------
    TypeError, ValueError
        If a token has no UTF-8 form.
    OSError
        If the folder is missing or the data cannot be written; the old file is then untouched.

    Examples
    --------
    >>> import numpy as np
    >>> write_vectors("v.safetensors", Table(["one", "two"], np.eye(2)))
    >>> read_vectors("v.safetensors").tokens
    ['one', 'two']
    """
    tensors = {"matrix": table.matrix, **pack_tokens(table.tokens), **table.ngrams}
    if table.counts is not None:
        tensors["tokens.counts"] = table.counts
    write_tensors(path, tensors, header("vectors"))


def read_vectors(path: PathLike) -> Table:
    """Read what :func:`write_vectors` wrote; the matrix is mapped into memory.

    Raises
    ------
    OSError
        If the file is missing or cannot be read.
    ValueError
        If it is not a whole file of vectors.
    """
    tensors, metadata = map_tensors(path)
    check_header(metadata, "vectors", path)
    tokens = unpack_tokens(tensors)
    ngrams = {name: tensor for name, tensor in tensors.items() if name.startswith("ngrams.")}
    if ngrams and "centre" in tensors:  # which is subtracted from every composed vector
        ngrams["centre"] = tensors["centre"]
    return Table(tokens, tensors["matrix"], tensors.get("tokens.counts"), ngrams)

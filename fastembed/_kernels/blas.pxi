"""Matrix products by BLAS, through the function pointers that SciPy publishes, without the GIL."""

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer

from fastembed._kernels.types cimport real

ctypedef void (*single_product)(
    char*, char*, int*, int*, int*, float*, float*, int*, float*, int*, float*, float*, int*,
) noexcept nogil
ctypedef void (*double_product)(
    char*, char*, int*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*,
) noexcept nogil


cdef inline void product(
    void* gemm, char a_transposed, char b_transposed, int m, int n, int k,
    const real* a, int a_stride, const real* b, int b_stride, real* c, int c_stride,
) noexcept nogil:
    """C (n, m) = op(B) (n, k) @ op(A) (k, m), row-major. BLAS, column-major, sees C (m, n) = op(A) @ op(B)."""
    cdef real one = 1, zero = 0
    if real is float:
        (<single_product>gemm)(
            &a_transposed, &b_transposed, &m, &n, &k, &one, <real*>a, &a_stride, <real*>b, &b_stride, &zero, c,
            &c_stride,
        )
    else:
        (<double_product>gemm)(
            &a_transposed, &b_transposed, &m, &n, &k, &one, <real*>a, &a_stride, <real*>b, &b_stride, &zero, c,
            &c_stride,
        )


cdef void* function_of(capsule) except NULL:
    """Return the function in a capsule of `scipy.linalg.cython_blas`, whose name is the signature."""
    cdef bytes signature = PyCapsule_GetName(capsule)
    if not signature.startswith(b"void (char *, char *, int *, int *, int *,"):
        raise ImportError(f"SciPy's BLAS must take integers of type int, got the function {signature.decode()}")
    return PyCapsule_GetPointer(capsule, signature)

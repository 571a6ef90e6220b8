"""Device functions of the view's Triton kernels: the same arithmetic as csrc/common, element by element. Y X pixels.

No libdevice: logarithm and sine are polynomials, accurate to 1e-7 on the range in use.
"""

import triton
import triton.language as tl


@triton.jit
def uniform(word):
    return ((word >> 9).to(tl.int32).to(tl.float32) + 0.5) * 1.1920928955078125e-07  # 2**-23


@triton.jit
def clipped(x):
    """x in [0, 1]; NaN stays NaN."""
    return tl.where(x < 0.0, 0.0, tl.where(x > 1.0, 1.0, x))


@triton.jit
def log(x):
    """Natural logarithm of 0 < x < infinity, no denormals, to 1e-7."""
    bits = x.to(tl.int32, bitcast=True)
    power = (bits - 0x3F3504F3) >> 23  # mantissa from sqrt(1/2) to sqrt(2)
    m = (bits - (power << 23)).to(tl.float32, bitcast=True) - 1.0
    tail = 0.0950125201 * m - 0.142018499
    tail = tail * m + 0.146461145
    tail = tail * m - 0.165834516
    tail = tail * m + 0.199862374
    tail = tail * m - 0.250011288
    tail = tail * m + 0.333334032
    return power.to(tl.float32) * 0.693147181 + (m - 0.5 * m * m + m * m * m * tail)


@triton.jit
def sin_turn(y):
    """sin(2 pi y) for 0 < y < 1, to 1e-7."""
    t = 0.5 - y
    size = tl.abs(t)
    fold = tl.minimum(size, 0.5 - size)
    s = tl.where(t < 0, -fold, fold)
    q = s * s
    return s * (6.28318528 + q * (-41.3416807 + q * (81.6024851 + q * (-76.5813965 + q * 39.7616166))))


@triton.jit
def alias_draw(table, row, word, BITS: tl.constexpr):
    SHIFT: tl.constexpr = 32 - BITS
    LOW: tl.constexpr = (1 << SHIFT) - 1
    column = (word >> SHIFT).to(tl.int32)
    entry = tl.load(table + (row << BITS) + column).to(tl.uint32, bitcast=True)
    other = (entry >> SHIFT).to(tl.int32)
    return tl.where((word & LOW).to(tl.int32) < (entry & LOW).to(tl.int32), column, other)


@triton.jit
def noise_words(pixel, who, seed, stream, coarse_stream, MANY: tl.constexpr):
    """The four random words of every pixel of sample `who`, and the word of its coarse draw (MANY photons)."""
    zero = tl.zeros_like(pixel).to(tl.uint32)
    low, high = zero + (who & 0xFFFFFFFF).to(tl.uint32), zero + (who >> 32).to(tl.uint32)
    words = tl.philox(seed, pixel.to(tl.uint32), low, high, zero + stream.to(tl.uint32))
    coarse_word = words[0]
    if MANY:
        coarse_word, _, _, _ = tl.philox(seed, pixel.to(tl.uint32), low, high, zero + coarse_stream.to(tl.uint32))
    return words, coarse_word


@triton.jit
def add_noise(x, words, coarse_word, fine, coarse, rate_of_one, shot, dark, read, MANY: tl.constexpr):
    """Shot noise, dark current and read noise; the arithmetic of csrc/common/noise.h."""
    w0, w1, w2, w3 = words
    rate = tl.where(x > 0, tl.minimum(x, 1.0), 0.0) * rate_of_one
    count = tl.zeros_like(rate)
    if MANY:
        tens = tl.minimum((rate * 0.1).to(tl.int32), 31)
        low = tl.maximum(tens * 10 - 120, 0)
        count = (low + alias_draw(coarse, tens, coarse_word, 8)).to(tl.float32)
        rate = tl.maximum(rate - tens.to(tl.float32) * 10.0, 0.0)
    row = tl.minimum((rate * 25.6).to(tl.int32), 255)
    rest = rate - row.to(tl.float32) * 0.0390625
    coin = (w1 >> 1).to(tl.int32).to(tl.float32) * 4.656612873077393e-10  # 2**-31, finest near 0
    one = rest * (1.0 - rest * (0.5 - rest * (1 / 6 - rest * (1 / 24))))
    two = rest * rest * (0.5 - rest * (1 / 3 - rest * 0.125))
    three = rest * rest * rest * (1 / 6 - rest * 0.125)
    more = (coin < one).to(tl.int32) + (coin < two).to(tl.int32) + (coin < three).to(tl.int32)
    count += (alias_draw(fine, row, w0, 5) + more).to(tl.float32)
    normal = tl.sqrt(-2.0 * log(uniform(w2))) * sin_turn(uniform(w3))
    return tl.minimum(tl.maximum(count * shot + dark + normal * read, 0.0), 1.0)


@triton.jit
def reflect(index, side):
    last = side - 1
    index = last - tl.abs(last - tl.abs(index))
    index = last - tl.abs(last - tl.abs(index))
    return tl.minimum(tl.maximum(index, 0), last)


@triton.jit
def tap(fixed, shift):
    part = (fixed & 0x3FFFF).to(tl.float32) * 3.814697265625e-06 + shift  # 18 fractional bits
    steps = tl.floor(part)
    return (fixed >> 18) + steps.to(tl.int32), part - steps


@triton.jit
def spline(u):
    v = 1.0 - u
    inner, outer = u * u * (0.5 * u - 1.0) + 2 / 3, v * v * (0.5 * v - 1.0) + 2 / 3
    return v * v * v * (1 / 6), inner, outer, u * u * u * (1 / 6)


@triton.jit
def line(row, weights):
    w0, w1, w2, w3 = weights
    return w0 * tl.load(row) + w1 * tl.load(row + 1) + w2 * tl.load(row + 2) + w3 * tl.load(row + 3)


@triton.jit
def displacement(lattice, x, y, per_spacing, Ly, Lx):
    """The field along x and y; lattice [2, Ly, Lx] of one image."""
    at_x, at_y = x.to(tl.float32) * per_spacing, y.to(tl.float32) * per_spacing
    cell_x, cell_y = at_x.to(tl.int32), at_y.to(tl.int32)
    across = spline(at_x - cell_x.to(tl.float32))
    v0, v1, v2, v3 = spline(at_y - cell_y.to(tl.float32))
    a = lattice + cell_y * Lx + cell_x
    b = a + Ly * Lx
    along = v0 * line(a, across) + v1 * line(a + Lx, across) + v2 * line(a + 2 * Lx, across) + v3 * line(a + 3 * Lx, across)
    aside = v0 * line(b, across) + v1 * line(b + Lx, across) + v2 * line(b + 2 * Lx, across) + v3 * line(b + 3 * Lx, across)
    return along, aside


@triton.jit
def where_from(pixel, kind, affine, lattice, image, H, W, Ly, Lx, per_spacing, ELASTIC: tl.constexpr, BLOCK: tl.constexpr):
    """The offsets of the four pixels around each output pixel's source, and the weights of those right and below."""
    x, y = pixel % W, pixel // W
    a = affine + image * 6
    moved = tl.load(kind + image) != 0
    along = tl.zeros((BLOCK,), tl.float32)
    aside = tl.zeros((BLOCK,), tl.float32)
    if ELASTIC:  # noqa: SIM102
        if tl.load(kind + image) == 2:
            field = lattice + image.to(tl.int64) * 2 * Ly * Lx
            along, aside = displacement(field, tl.minimum(x, W - 1), tl.minimum(y, H - 1), per_spacing, Ly, Lx)
    left, right = tap(tl.where(moved, tl.load(a) * x + tl.load(a + 1) * y + tl.load(a + 2), x << 18), along)
    top, below = tap(tl.where(moved, tl.load(a + 3) * x + tl.load(a + 4) * y + tl.load(a + 5), y << 18), aside)
    x0, x1 = reflect(left, W), reflect(left + 1, W)
    y0, y1 = reflect(top, H) * W, reflect(top + 1, H) * W
    return (y0 + x0, y0 + x1, y1 + x0, y1 + x1), right, below


@triton.jit
def bilinear(plane, corners, right, below, inside):
    p00, p01, p10, p11 = corners
    v00 = tl.load(plane + p00, mask=inside, other=0).to(tl.float32)
    v01 = tl.load(plane + p01, mask=inside, other=0).to(tl.float32)
    v10 = tl.load(plane + p10, mask=inside, other=0).to(tl.float32)
    v11 = tl.load(plane + p11, mask=inside, other=0).to(tl.float32)
    upper, lower = v00 + (v01 - v00) * right, v10 + (v11 - v10) * right
    return upper + (lower - upper) * below

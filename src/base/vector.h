/* Vectors of floats for kernels, one meaning on every instruction-set level. Kernels are written
 * once over these names and compiled once per level; the level's own macros (__AVX512F__, ...)
 * choose the branch below. Everything is static inline, so no symbol of one level can end up in
 * another's code.
 *
 * v_fma rounds once where the level has the instruction and twice where it has not (x86-64-v2,
 * portable); results differ between levels by rounding only. */
#ifndef PARE_SRC_BASE_VECTOR_H
#define PARE_SRC_BASE_VECTOR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define V_INLINE static inline __attribute__((always_inline))
/* In front of loops with a small constant count whose arrays are to live in registers. */
#if defined(__clang__)
#define V_UNROLL _Pragma("clang loop unroll(full)")
#else
#define V_UNROLL _Pragma("GCC unroll 16")
#endif

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>

#define V_WIDTH 16
#define V_REGISTERS 32
typedef __m512 v_float;
typedef __mmask16 v_mask;

V_INLINE v_float v_zero(void)
{
    return _mm512_setzero_ps();
}
V_INLINE v_float v_set(float x)
{
    return _mm512_set1_ps(x);
}
V_INLINE v_float v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
V_INLINE void v_store(float *p, v_float v)
{
    _mm512_storeu_ps(p, v);
}
V_INLINE v_mask v_first_lanes(size_t n)
{
    return (v_mask)(n >= V_WIDTH ? 0xffffu : (1u << n) - 1u);
}
/* Lane i is set when bit i is. */
V_INLINE v_mask v_mask_from_bits(uint32_t bits)
{
    return (v_mask)bits;
}
/* Bit i is set when lane i is. */
V_INLINE uint32_t v_mask_bits(v_mask mask)
{
    return mask;
}
V_INLINE v_float v_load_partial(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(v_first_lanes(n), p);
}
V_INLINE void v_store_partial(float *p, v_float v, size_t n)
{
    _mm512_mask_storeu_ps(p, v_first_lanes(n), v);
}
/* Four floats, over and over; v_lane_of_four(v, i) has the one of them in all lanes. */
V_INLINE v_float v_load_four(const float *p)
{
    return _mm512_broadcast_f32x4(_mm_loadu_ps(p));
}
#define v_lane_of_four(v, i) _mm512_permute_ps(v, (i)*0x55)
/* Lane i is set when p[i] < limit. */
V_INLINE v_mask v_below(const uint16_t *p, uint16_t limit)
{
    __m512i x = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_cmplt_epi32_mask(x, _mm512_set1_epi32(limit));
}
V_INLINE v_float v_add(v_float a, v_float b)
{
    return _mm512_add_ps(a, b);
}
V_INLINE v_float v_sub(v_float a, v_float b)
{
    return _mm512_sub_ps(a, b);
}
V_INLINE v_float v_mul(v_float a, v_float b)
{
    return _mm512_mul_ps(a, b);
}
V_INLINE v_float v_div(v_float a, v_float b)
{
    return _mm512_div_ps(a, b);
}
V_INLINE v_float v_fma(v_float a, v_float b, v_float c)
{
    return _mm512_fmadd_ps(a, b, c);
}
V_INLINE v_float v_min(v_float a, v_float b)
{
    return _mm512_min_ps(a, b);
}
V_INLINE v_float v_max(v_float a, v_float b)
{
    return _mm512_max_ps(a, b);
}
V_INLINE v_float v_sqrt(v_float a)
{
    return _mm512_sqrt_ps(a);
}
V_INLINE v_mask v_less(v_float a, v_float b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
V_INLINE v_float v_select(v_mask mask, v_float yes, v_float no)
{
    return _mm512_mask_blend_ps(mask, no, yes);
}
/* The bits of x as an integer, shifted left by 23, plus those of 1.0f. */
V_INLINE v_float v_exponent_from_low_bits(v_float x)
{
    __m512i bits = _mm512_slli_epi32(_mm512_castps_si512(x), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(0x3f800000)));
}
/* The nearest numbers of 8 significant bits, ties to even, if x is finite. */
V_INLINE v_float v_round_finite(v_float x)
{
    __m512i bits = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    bits = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    return _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(-0x10000)));
}
V_INLINE float v_reduce_add(v_float v)
{
    return _mm512_reduce_add_ps(v);
}
V_INLINE float v_reduce_max(v_float v)
{
    return _mm512_reduce_max_ps(v);
}
/* Lane i of the result is the sum over the lanes of rows[i]. */
V_INLINE v_float v_reduce_add_each(const v_float rows[V_WIDTH])
{
    v_float four[4];
    V_UNROLL for (int i = 0; i < 4; i++)
    {
        v_float a = v_add(_mm512_unpacklo_ps(rows[4 * i], rows[4 * i + 1]),
                          _mm512_unpackhi_ps(rows[4 * i], rows[4 * i + 1]));
        v_float b = v_add(_mm512_unpacklo_ps(rows[4 * i + 2], rows[4 * i + 3]),
                          _mm512_unpackhi_ps(rows[4 * i + 2], rows[4 * i + 3]));
        __m512d c = _mm512_castps_pd(a), d = _mm512_castps_pd(b);
        four[i] = v_add(_mm512_castpd_ps(_mm512_unpacklo_pd(c, d)),
                        _mm512_castpd_ps(_mm512_unpackhi_pd(c, d)));
    }
    v_float low = v_add(_mm512_shuffle_f32x4(four[0], four[1], 0x88),
                        _mm512_shuffle_f32x4(four[0], four[1], 0xdd));
    v_float high = v_add(_mm512_shuffle_f32x4(four[2], four[3], 0x88),
                         _mm512_shuffle_f32x4(four[2], four[3], 0xdd));
    return v_add(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xdd));
}
V_INLINE void v_transpose(v_float rows[V_WIDTH])
{
    v_float a[V_WIDTH];
    V_UNROLL for (int i = 0; i < 16; i += 4)
    {
        __m512d p = _mm512_castps_pd(_mm512_unpacklo_ps(rows[i], rows[i + 1]));
        __m512d q = _mm512_castps_pd(_mm512_unpacklo_ps(rows[i + 2], rows[i + 3]));
        __m512d r = _mm512_castps_pd(_mm512_unpackhi_ps(rows[i], rows[i + 1]));
        __m512d s = _mm512_castps_pd(_mm512_unpackhi_ps(rows[i + 2], rows[i + 3]));
        a[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(p, q));
        a[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(p, q));
        a[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(r, s));
        a[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(r, s));
    }
    V_UNROLL for (int i = 0; i < 4; i++)
    {
        v_float even_low = _mm512_shuffle_f32x4(a[i], a[i + 4], 0x88);
        v_float odd_low = _mm512_shuffle_f32x4(a[i], a[i + 4], 0xdd);
        v_float even_high = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0x88);
        v_float odd_high = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0xdd);
        rows[i] = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
        rows[i + 4] = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
        rows[i + 8] = _mm512_shuffle_f32x4(even_low, even_high, 0xdd);
        rows[i + 12] = _mm512_shuffle_f32x4(odd_low, odd_high, 0xdd);
    }
}

#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

#define V_WIDTH 8
#define V_REGISTERS 16
typedef __m256 v_float;
typedef __m256 v_mask;

V_INLINE v_float v_zero(void)
{
    return _mm256_setzero_ps();
}
V_INLINE v_float v_set(float x)
{
    return _mm256_set1_ps(x);
}
V_INLINE v_float v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
V_INLINE void v_store(float *p, v_float v)
{
    _mm256_storeu_ps(p, v);
}
V_INLINE v_mask v_first_lanes(size_t n)
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    int count = n >= V_WIDTH ? V_WIDTH : (int)n;
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(count), lanes));
}
V_INLINE v_mask v_mask_from_bits(uint32_t bits)
{
    const __m256i lanes = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    __m256i set = _mm256_and_si256(_mm256_set1_epi32((int)bits), lanes);
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, lanes));
}
V_INLINE uint32_t v_mask_bits(v_mask mask)
{
    return (uint32_t)_mm256_movemask_ps(mask);
}
V_INLINE v_float v_load_partial(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, _mm256_castps_si256(v_first_lanes(n)));
}
V_INLINE void v_store_partial(float *p, v_float v, size_t n)
{
    _mm256_maskstore_ps(p, _mm256_castps_si256(v_first_lanes(n)), v);
}
V_INLINE v_float v_load_four(const float *p)
{
    __m128 four = _mm_loadu_ps(p);
    return _mm256_set_m128(four, four);
}
#define v_lane_of_four(v, i) _mm256_permute_ps(v, (i)*0x55)
V_INLINE v_mask v_below(const uint16_t *p, uint16_t limit)
{
    __m256i x = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(limit), x));
}
V_INLINE v_float v_add(v_float a, v_float b)
{
    return _mm256_add_ps(a, b);
}
V_INLINE v_float v_sub(v_float a, v_float b)
{
    return _mm256_sub_ps(a, b);
}
V_INLINE v_float v_mul(v_float a, v_float b)
{
    return _mm256_mul_ps(a, b);
}
V_INLINE v_float v_div(v_float a, v_float b)
{
    return _mm256_div_ps(a, b);
}
V_INLINE v_float v_fma(v_float a, v_float b, v_float c)
{
    return _mm256_fmadd_ps(a, b, c);
}
V_INLINE v_float v_min(v_float a, v_float b)
{
    return _mm256_min_ps(a, b);
}
V_INLINE v_float v_max(v_float a, v_float b)
{
    return _mm256_max_ps(a, b);
}
V_INLINE v_float v_sqrt(v_float a)
{
    return _mm256_sqrt_ps(a);
}
V_INLINE v_mask v_less(v_float a, v_float b)
{
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
V_INLINE v_float v_select(v_mask mask, v_float yes, v_float no)
{
    return _mm256_blendv_ps(no, yes, mask);
}
V_INLINE v_float v_exponent_from_low_bits(v_float x)
{
    __m256i bits = _mm256_slli_epi32(_mm256_castps_si256(x), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(0x3f800000)));
}
V_INLINE v_float v_round_finite(v_float x)
{
    __m256i bits = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    bits = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    return _mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32(-0x10000)));
}
V_INLINE float v_reduce_add(v_float v)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
V_INLINE float v_reduce_max(v_float v)
{
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
V_INLINE v_float v_reduce_add_each(const v_float rows[V_WIDTH])
{
    v_float low =
        _mm256_hadd_ps(_mm256_hadd_ps(rows[0], rows[1]), _mm256_hadd_ps(rows[2], rows[3]));
    v_float high =
        _mm256_hadd_ps(_mm256_hadd_ps(rows[4], rows[5]), _mm256_hadd_ps(rows[6], rows[7]));
    return v_add(_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31));
}
V_INLINE void v_transpose(v_float rows[V_WIDTH])
{
    v_float a[V_WIDTH];
    V_UNROLL for (int i = 0; i < 8; i += 4)
    {
        __m256d p = _mm256_castps_pd(_mm256_unpacklo_ps(rows[i], rows[i + 1]));
        __m256d q = _mm256_castps_pd(_mm256_unpacklo_ps(rows[i + 2], rows[i + 3]));
        __m256d r = _mm256_castps_pd(_mm256_unpackhi_ps(rows[i], rows[i + 1]));
        __m256d s = _mm256_castps_pd(_mm256_unpackhi_ps(rows[i + 2], rows[i + 3]));
        a[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(p, q));
        a[i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(p, q));
        a[i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(r, s));
        a[i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(r, s));
    }
    V_UNROLL for (int i = 0; i < 4; i++)
    {
        rows[i] = _mm256_permute2f128_ps(a[i], a[i + 4], 0x20);
        rows[i + 4] = _mm256_permute2f128_ps(a[i], a[i + 4], 0x31);
    }
}

#else /* four lanes: SSE4.2, NEON, or whatever the compiler makes of its own vectors */

#define V_WIDTH 4
typedef float v_float __attribute__((vector_size(16)));
typedef int32_t v_mask __attribute__((vector_size(16)));

#if defined(__SSE4_2__)
#include <immintrin.h>
#define V_REGISTERS 16
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#define V_REGISTERS 32
#else
#define V_REGISTERS 16
#endif

V_INLINE v_float v_set(float x)
{
    return (v_float){x, x, x, x};
}
V_INLINE v_float v_zero(void)
{
    return v_set(0);
}
V_INLINE v_float v_load(const float *p)
{
    v_float v;
    memcpy(&v, p, sizeof v);
    return v;
}
V_INLINE void v_store(float *p, v_float v)
{
    memcpy(p, &v, sizeof v);
}
V_INLINE v_mask v_first_lanes(size_t n)
{
    int32_t count = n >= V_WIDTH ? V_WIDTH : (int32_t)n;
    return (v_mask){0, 1, 2, 3} < (v_mask){count, count, count, count};
}
V_INLINE v_mask v_mask_from_bits(uint32_t bits)
{
    const v_mask lanes = {1, 2, 4, 8};
    int32_t word = (int32_t)(bits & 15);
    return ((v_mask){word, word, word, word} & lanes) == lanes;
}
V_INLINE uint32_t v_mask_bits(v_mask mask)
{
    return (uint32_t)((mask[0] & 1) | (mask[1] & 2) | (mask[2] & 4) | (mask[3] & 8));
}
V_INLINE v_float v_load_partial(const float *p, size_t n)
{
    v_float v = v_zero();
    memcpy(&v, p, (n < V_WIDTH ? n : V_WIDTH) * sizeof *p);
    return v;
}
V_INLINE void v_store_partial(float *p, v_float v, size_t n)
{
    memcpy(p, &v, (n < V_WIDTH ? n : V_WIDTH) * sizeof *p);
}
V_INLINE v_float v_load_four(const float *p)
{
    return v_load(p);
}
#define v_lane_of_four(v, i) ((v_float){(v)[i], (v)[i], (v)[i], (v)[i]})
V_INLINE v_mask v_below(const uint16_t *p, uint16_t limit)
{
    return (v_mask){p[0], p[1], p[2], p[3]} < (v_mask){limit, limit, limit, limit};
}
V_INLINE v_float v_add(v_float a, v_float b)
{
    return a + b;
}
V_INLINE v_float v_sub(v_float a, v_float b)
{
    return a - b;
}
V_INLINE v_float v_mul(v_float a, v_float b)
{
    return a * b;
}
V_INLINE v_float v_div(v_float a, v_float b)
{
    return a / b;
}
V_INLINE v_mask v_less(v_float a, v_float b)
{
    return a < b;
}
V_INLINE v_float v_select(v_mask mask, v_float yes, v_float no)
{
    return (v_float)(((v_mask)yes & mask) | ((v_mask)no & ~mask));
}
V_INLINE v_float v_exponent_from_low_bits(v_float x)
{
    typedef uint32_t words __attribute__((vector_size(16)));
    return (v_float)(((words)x << 23) + 0x3f800000u);
}
V_INLINE v_float v_round_finite(v_float x)
{
    typedef uint32_t words __attribute__((vector_size(16)));
    words bits = (words)x;
    return (v_float)((bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u);
}

#if defined(__SSE4_2__)
V_INLINE v_float v_fma(v_float a, v_float b, v_float c)
{
    return a * b + c;
}
V_INLINE v_float v_min(v_float a, v_float b)
{
    return _mm_min_ps(a, b);
}
V_INLINE v_float v_max(v_float a, v_float b)
{
    return _mm_max_ps(a, b);
}
V_INLINE v_float v_sqrt(v_float a)
{
    return _mm_sqrt_ps(a);
}
V_INLINE v_float v_reduce_add_each(const v_float rows[V_WIDTH])
{
    return _mm_hadd_ps(_mm_hadd_ps(rows[0], rows[1]), _mm_hadd_ps(rows[2], rows[3]));
}
#elif defined(__ARM_NEON)
V_INLINE v_float v_fma(v_float a, v_float b, v_float c)
{
    return (v_float)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
/* As on x86, the second operand wins when one is not a number. */
V_INLINE v_float v_min(v_float a, v_float b)
{
    return v_select(a < b, a, b);
}
V_INLINE v_float v_max(v_float a, v_float b)
{
    return v_select(a > b, a, b);
}
V_INLINE v_float v_sqrt(v_float a)
{
    return (v_float)vsqrtq_f32((float32x4_t)a);
}
V_INLINE v_float v_reduce_add_each(const v_float rows[V_WIDTH])
{
    float32x4_t low = vpaddq_f32((float32x4_t)rows[0], (float32x4_t)rows[1]);
    float32x4_t high = vpaddq_f32((float32x4_t)rows[2], (float32x4_t)rows[3]);
    return (v_float)vpaddq_f32(low, high);
}
#else
V_INLINE v_float v_fma(v_float a, v_float b, v_float c)
{
    return a * b + c;
}
V_INLINE v_float v_min(v_float a, v_float b)
{
    return v_select(a < b, a, b);
}
V_INLINE v_float v_max(v_float a, v_float b)
{
    return v_select(a > b, a, b);
}
V_INLINE v_float v_sqrt(v_float a)
{
    return (v_float){sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])};
}
V_INLINE v_float v_reduce_add_each(const v_float rows[V_WIDTH])
{
    v_float sums;
    for (int i = 0; i < V_WIDTH; i++)
        sums[i] = (rows[i][0] + rows[i][1]) + (rows[i][2] + rows[i][3]);
    return sums;
}
#endif

V_INLINE float v_reduce_add(v_float v)
{
    return (v[0] + v[1]) + (v[2] + v[3]);
}
V_INLINE float v_reduce_max(v_float v)
{
    float a = v[0] > v[1] ? v[0] : v[1], b = v[2] > v[3] ? v[2] : v[3];
    return a > b ? a : b;
}
V_INLINE void v_transpose(v_float rows[V_WIDTH])
{
    v_float a = rows[0], b = rows[1], c = rows[2], d = rows[3];
    rows[0] = (v_float){a[0], b[0], c[0], d[0]};
    rows[1] = (v_float){a[1], b[1], c[1], d[1]};
    rows[2] = (v_float){a[2], b[2], c[2], d[2]};
    rows[3] = (v_float){a[3], b[3], c[3], d[3]};
}
#endif

/* x in bf16: 8 significant bits and the range of fp32. */
#if defined(__AVX512BF16__)
V_INLINE v_float v_round_to_bf16(v_float x)
{
    __m512i words = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
}

/* Words of two bf16 numbers, a low and a high one. */
typedef __m512i v_words;

V_INLINE v_words v_words_of(v_float low, v_float high)
{
    const __m512i in_turns = _mm512_set_epi32(
        0x1f000f, 0x1e000e, 0x1d000d, 0x1c000c, 0x1b000b, 0x1a000a, 0x190009, 0x180008, 0x170007,
        0x160006, 0x150005, 0x140004, 0x130003, 0x120002, 0x110001, 0x100000);
    return _mm512_permutexvar_epi16(in_turns, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}
V_INLINE v_float v_low(v_words words)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
}
V_INLINE v_float v_high(v_words words)
{
    return _mm512_castsi512_ps(_mm512_and_si512(words, _mm512_set1_epi32(-0x10000)));
}
V_INLINE v_words v_load_words(const void *p)
{
    return _mm512_loadu_si512(p);
}
V_INLINE void v_store_words(void *p, v_words words)
{
    _mm512_storeu_si512(p, words);
}
/* sum + low(a) * low(b) + high(a) * high(b) */
V_INLINE v_float v_fma_words(v_words a, v_words b, v_float sum)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}
#else
V_INLINE v_float v_round_to_bf16(v_float x)
{
    return v_select(v_less(x, v_set(INFINITY)), v_round_finite(x), x);
}
#endif

/* The smallest argument whose exponential is a normal number; below it v_exp is 0. */
#define V_EXP_LEAST (-87.33654f)

/* e^x to about one unit in the last place: x = n ln 2 + r with |r| <= ln(2)/2, e^r by a polynomial
 * (coefficients of Moshier's Cephes). Exactly 0 below V_EXP_LEAST, -infinity included; NaN stays
 * NaN. For arguments up to 88.37 (2.4e38), such as those of a softmax; above, the result is
 * anything. */
V_INLINE v_float v_exp_bounded(v_float x)
{
    const v_float round_to_integer = v_set(0x1.8p23f); /* leaves n in the low bits of the sum */
    v_float shifted = v_fma(x, v_set(1.44269504088896341f), round_to_integer);
    v_float n = v_sub(shifted, round_to_integer);
    v_float r = v_fma(n, v_set(-0.693359375f), x);
    r = v_fma(n, v_set(2.12194440e-4f), r);
    v_float p = v_set(1.9875691500e-4f);
    p = v_fma(p, r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    v_float power = v_add(v_fma(v_mul(r, r), p, r), v_set(1.0f));
    v_float value = v_mul(power, v_exponent_from_low_bits(shifted));
    return v_select(v_less(x, v_set(V_EXP_LEAST)), v_zero(), value);
}

/* The same for all arguments: those above 88.37 count as 88.37. */
V_INLINE v_float v_exp(v_float x)
{
    return v_exp_bounded(v_min(v_set(88.37f), x));
}

#endif

/* The context: how many threads, which instruction-set level. A level counts as supported only when
 * this build has it, the CPU reports every feature of it and the operating system saves the
 * registers it uses. */
#include "base/context.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/levels.h"
#include "base/memory.h"
#include "base/status.h"

#define THREADS_MAX 1024

static const char *const level_names[PARE_LEVEL_COUNT] = {
    [PARE_LEVEL_PORTABLE] = "portable",   [PARE_LEVEL_NEON] = "neon",
    [PARE_LEVEL_X86_64_V2] = "x86-64-v2", [PARE_LEVEL_X86_64_V3] = "x86-64-v3",
    [PARE_LEVEL_X86_64_V4] = "x86-64-v4",
};

#define IS_BUILT(name, level) [level] = true,
static const bool level_built[PARE_LEVEL_COUNT] = {PRI_EACH_LEVEL(IS_BUILT)};

const char *pare_level_name(pare_level level)
{
    return level_names[level];
}

#if defined(__x86_64__)
#include <cpuid.h>

typedef struct cpu_features {
    unsigned leaf1_ecx, leaf7_ebx, extended_ecx;
    unsigned long long saved_registers; /* XCR0 */
} cpu_features;

static cpu_features probe(void)
{
    cpu_features features = {0};
    unsigned eax, ebx, ecx, edx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        features.leaf1_ecx = ecx;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
        features.leaf7_ebx = ebx;
    if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx))
        features.extended_ecx = ecx;
    if (features.leaf1_ecx & bit_OSXSAVE) {
        unsigned low, high;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        features.saved_registers = (unsigned long long)high << 32 | low;
    }
    return features;
}

static bool has(unsigned long long value, unsigned long long bits)
{
    return (value & bits) == bits;
}

static bool cpu_has(pare_level level)
{
    const unsigned v2 =
        bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT | bit_CMPXCHG16B;
    const unsigned v3 = bit_AVX | bit_FMA | bit_F16C | bit_MOVBE;
    const unsigned v3_leaf7 = bit_AVX2 | bit_BMI | bit_BMI2;
    const unsigned v3_extended = bit_ABM;
    const unsigned v4_leaf7 =
        bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL;
    const unsigned ymm_saved = 0x6, zmm_saved = 0xe6;
    cpu_features cpu = probe();
    bool has_v2 = has(cpu.leaf1_ecx, v2);
    bool has_v3 = has_v2 && has(cpu.leaf1_ecx, v3) && has(cpu.leaf7_ebx, v3_leaf7) &&
                  has(cpu.extended_ecx, v3_extended) && has(cpu.saved_registers, ymm_saved);
    bool has_v4 = has_v3 && has(cpu.leaf7_ebx, v4_leaf7) && has(cpu.saved_registers, zmm_saved);
    switch (level) {
    case PARE_LEVEL_X86_64_V2:
        return has_v2;
    case PARE_LEVEL_X86_64_V3:
        return has_v3;
    case PARE_LEVEL_X86_64_V4:
        return has_v4;
    default:
        return false;
    }
}

static bool cpu_has_bf16(void)
{
    unsigned eax = 0, ebx, ecx, edx;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && has(eax, bit_AVX512BF16);
}

static void read_brand(char name[49])
{
    unsigned words[12] = {0};
    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                    &words[4 * i + 3]);
    memcpy(name, words, 48);
    name[48] = 0;
}
#else
static bool cpu_has(pare_level level)
{
#if defined(__aarch64__)
    return level == PARE_LEVEL_NEON;
#else
    return level == PARE_LEVEL_PORTABLE;
#endif
}

static bool cpu_has_bf16(void)
{
    return false;
}

static void read_brand(char name[49])
{
    name[0] = 0;
}
#endif

bool pare_level_supported(pare_level level)
{
    return level_built[level] && cpu_has(level);
}

const char *pare_cpu_name(void)
{
    static _Thread_local char brand[49];
    read_brand(brand);
    size_t length = strlen(brand);
    while (length && brand[length - 1] == ' ')
        brand[--length] = 0;
    return length ? brand : "unknown CPU";
}

pare_level pri_best_level(void)
{
    for (int level = PARE_LEVEL_COUNT - 1; level > 0; level--)
        if (pare_level_supported((pare_level)level))
            return (pare_level)level;
    return PARE_LEVEL_PORTABLE;
}

static pare_status choose_level(const char *name, pare_level *level)
{
    if (!name)
        name = getenv("PARE_ISA");
    *level = pri_best_level();
    if (!pare_level_supported(*level))
        return pri_fail(PARE_ERROR_UNSUPPORTED,
                        "this CPU has no instruction-set level that this build of Pare offers "
                        "(on x86-64 the least is x86-64-v2, with SSE4.2)");
    if (!name || !*name)
        return PARE_OK;
    for (int i = 0; i < PARE_LEVEL_COUNT; i++) {
        if (strcmp(name, level_names[i]))
            continue;
        *level = (pare_level)i;
        if (pare_level_supported(*level))
            return PARE_OK;
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "instruction-set level '%s' (PARE_ISA) is not available on this CPU "
                        "and in this build; the best one here is %s",
                        name, level_names[pri_best_level()]);
    }
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "unknown instruction-set level '%s' (PARE_ISA); use x86-64-v2, x86-64-v3, "
                    "x86-64-v4, neon or leave it unset",
                    name);
}

pare_status pare_context_create(const pare_context_options *options, pare_context **context)
{
    *context = NULL;
    int threads = options ? options->threads : 0;
    if (threads < 0 || threads > THREADS_MAX)
        return pri_fail(PARE_ERROR_ARGUMENT, "threads must be 1 to %d (0: all cores), not %d",
                        THREADS_MAX, threads);
    const char *asked = options && options->level && *options->level ? options->level : NULL;
    pare_level level;
    PRI_TRY(choose_level(asked, &level));
    pare_context *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->threads = threads ? threads : omp_get_max_threads();
    created->level = level;
    created->level_from_variable = !asked && getenv("PARE_ISA");
    created->has_bf16 = level == PARE_LEVEL_X86_64_V4 && cpu_has_bf16();
    *context = created;
    return PARE_OK;
}

void pare_context_destroy(pare_context *context)
{
    if (context)
        pri_free(context->product_scratch);
    pri_free(context);
}

int pare_context_threads(const pare_context *context)
{
    return context->threads;
}

pare_level pare_context_level(const pare_context *context)
{
    return context->level;
}

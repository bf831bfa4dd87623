/* The processors' use and the memory, from texts as the kernel writes them and as it never would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/cpu/sensors.h"

#define MIB (INT64_C(1) << 20)
#define SECOND INT64_C(1000000000)

static void test_ticks(void **state)
{
    static const struct {
        const char *text;
        bool known;
        uint64_t busy, total;
    } cases[] = {
        {"cpu  100 20 30 800 50 1 2 3 90 9\ncpu0 1 2 3 4\n", true, 156, 1006},
        {"cpu  100 20 30 800 50 1 2 3\n", true, 156, 1006},
        {"cpu 100 20 30 800\nintr 5\n", true, 150, 950}, /* Linux 2.4 */
        {"cpu 100 20 30 800", true, 150, 950},
        {"intr 7\ncpu  1 2 3 4 5 6 7 8 0 0\n", true, 27, 36},
        {"cpu  0 0 0 18446744073709551615 0 0 0 0\n", true, 0, UINT64_MAX},
        {"cpu  1 0 0 18446744073709551615 0 0 0 0\n", false, 0, 0},
        {"cpu  18446744073709551616 0 0 5\n", false, 0, 0},
        {"cpu  1 2 99999999999999999999999999 4 5 6 7 8\n", false, 0, 0},
        {"cpu  100 20 30\n", false, 0, 0},
        {"cpu  100 20 30 x 50\n", false, 0, 0},
        {"cpu  100 20 30 800 -5 1\n", false, 0, 0},
        {"cpu  1 2 3 4x5\n", false, 0, 0},
        {"cpu0 100 20 30 800\n", false, 0, 0},
        {" cpu 100 20 30 800\n", false, 0, 0},
        {"cpu ", false, 0, 0},
        {"cpu", false, 0, 0},
        {"", false, 0, 0},
        {"\n\n\n", false, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cpu_reading r = cpu_reading_at(0);
        print_message("%zu\n", i);
        cpu_read_stat(&r, cases[i].text);
        assert_int_equal(r.has_ticks, cases[i].known);
        assert_int_equal(r.busy, cases[i].busy);
        assert_int_equal(r.total, cases[i].total);
    }
}

static void test_memory(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes, free;
    } cases[] = {
        {"MemTotal:       24684092 kB\nMemFree:  1 kB\nMemAvailable:   24172740 kB\n",
         24684092LL << 10, 24172740LL << 10},
        {"MemAvailable: 1 kB\nMemTotal: 2 kB", 2048, 1024},
        {"MemTotal: 2 kB\nMemAvailable: 3 kB\n", 2048, 2048},
        {"MemTotal: 2 kB\n", 2048, DEVICE_UNKNOWN}, /* before Linux 3.14 */
        {"MemTotal: 2 kB\nMemAvailable: none\n", 2048, DEVICE_UNKNOWN},
        {"MemTotal: 2 kB\nMemAvailable: 9223372036854775807 kB\n", 2048, DEVICE_UNKNOWN},
        {"MemTotal: 9223372036854775807 kB\nMemAvailable: 1 kB\n", DEVICE_UNKNOWN, DEVICE_UNKNOWN},
        {"MemTotal: 99999999999999999999 kB\n", DEVICE_UNKNOWN, DEVICE_UNKNOWN},
        {"MemTotal: -5 kB\n", DEVICE_UNKNOWN, DEVICE_UNKNOWN},
        {"MemTotal", DEVICE_UNKNOWN, DEVICE_UNKNOWN},
        {"SwapMemTotal: 5 kB\n", DEVICE_UNKNOWN, DEVICE_UNKNOWN},
        {"", DEVICE_UNKNOWN, DEVICE_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cpu_reading r = cpu_reading_at(0);
        print_message("%zu\n", i);
        cpu_read_meminfo(&r, cases[i].text);
        assert_true(r.memory_bytes == cases[i].bytes);
        assert_true(r.free == cases[i].free);
    }
}

/* The least of what machine and groups have. */
static void test_memory_of_groups(void **state)
{
    static const struct {
        struct cpu_group_texts groups[2];
        int64_t mib, free_mib;
    } cases[] = {
        {{{0}, {0}}, 1000, 400},
        {{{"max\n", "104857600\n", NULL}}, 1000, 400},
        {{{"524288000\n", "104857600\n", NULL}}, 500, 400},
        {{{"524288000\n", "209715200\n", "anon 5\nfile 7\n"}}, 500, 300},
        /* Files that are only kept because there is room are no use. */
        {{{"524288000\n", "209715200\n", "inactive_file 104857600\nactive_file 1\n"}}, 500, 400},
        {{{"524288000\n", "209715200\n", "anon 1\ninactive_file 115343360\n"}}, 500, 400},
        {{{"524288000\n", "209715200\n", "inactive_file 999999999999\n"}}, 500, 400},
        {{{"524288000\n", "629145600\n", NULL}}, 500, 0}, /* above its limit: about to be killed */
        {{{"524288000\n", NULL, NULL}}, 1000, 400},
        {{{"x\n", "1\n", NULL}}, 1000, 400},
        {{{"99999999999999999999999\n", "1\n", NULL}}, 1000, 400},
        {{{"9223372036854771712\n", "1\n", NULL}}, 1000, 400},
        /* One within another that has more, of which others have taken most. */
        {{{"524288000\n", "104857600\n", NULL}, {"943718400\n", "838860800\n", NULL}}, 500, 100},
        {{{"943718400\n", "104857600\n", NULL}, {"524288000\n", "104857600\n", NULL}}, 500, 400},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cpu_reading r = cpu_reading_at(0);
        print_message("%zu\n", i);
        cpu_read_meminfo(&r, "MemTotal: 1024000 kB\nMemAvailable: 409600 kB\n");
        for (int g = 0; g < 2; g++)
            cpu_read_group(&r, &cases[i].groups[g]);
        assert_int_equal(r.memory_bytes, cases[i].mib * MIB);
        assert_int_equal(r.free, cases[i].free_mib * MIB);
    }
    /* The group alone is known. */
    struct cpu_reading r = cpu_reading_at(0);
    cpu_read_group(&r, &cases[2].groups[0]);
    assert_int_equal(r.memory_bytes, 500 * MIB);
    assert_int_equal(r.free, 400 * MIB);
}

static void test_paths_of_groups(void **state)
{
    static const struct {
        const char *text, *path; /* NULL: none */
    } cases[] = {
        {"0::/\n", ""},
        {"0::/user.slice/a b.scope\n", "/user.slice/a b.scope"},
        {"9:name=systemd:/x\n0::/y/z", "/y/z"},
        {"0::/../..\n", "/../.."},
        {"0::/y//\n", "/y"},
        {"9:name=systemd:/x\n", NULL},
        {"10::/x\n", NULL},
        {"0::x\n", NULL},
        {"0:", NULL},
        {"", NULL},
    };
    char path[CPU_PATH_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("%zu\n", i);
        assert_int_equal(cpu_group_path(cases[i].text, path), cases[i].path != NULL);
        if (cases[i].path)
            assert_string_equal(path, cases[i].path);
    }
    /* The longest that fits, and one more. */
    char text[CPU_PATH_MAX + 8] = "0::/";
    memset(text + 4, 'a', CPU_PATH_MAX - 2);
    assert_true(cpu_group_path(text, path));
    assert_int_equal(strlen(path), CPU_PATH_MAX - 1);
    text[4 + CPU_PATH_MAX - 2] = 'a';
    assert_false(cpu_group_path(text, path));
}

static struct cpu_reading reading(int64_t ns, const char *stat, const char *max, const char *used)
{
    struct cpu_reading r = cpu_reading_at(ns);
    cpu_read_stat(&r, stat);
    cpu_read_group(&r, &(struct cpu_group_texts){.cpu_max = max, .cpu_stat = used});
    return r;
}

static void test_use(void **state)
{
    static const struct {
        const char *before, *after;            /* /proc/stat */
        const char *max, *used_from, *used_to; /* of a group, over half a second */
        int percent;
    } cases[] = {
        {"cpu 100 0 0 900", "cpu 125 0 0 975", NULL, NULL, NULL, 25},
        {"cpu 100 0 0 900", "cpu 100 0 0 975", NULL, NULL, NULL, 0},
        {"cpu 100 0 0 900", "cpu 200 0 0 900", NULL, NULL, NULL, 100},
        {"cpu 0 0 0 0 0 0 0 0", "cpu 10 10 10 10 10 10 10 10", NULL, NULL, NULL, 75},
        {"cpu 0 0 0 0", "cpu 1 0 0 199", NULL, NULL, NULL, 1}, /* 0.5, rounded */
        /* No time has passed, or it went back. */
        {"cpu 100 0 0 900", "cpu 100 0 0 900", NULL, NULL, NULL, DEVICE_UNKNOWN},
        {"cpu 100 0 0 900", "cpu 10 0 0 90", NULL, NULL, NULL, DEVICE_UNKNOWN},
        {"cpu 100 0 0 900", "", NULL, NULL, NULL, DEVICE_UNKNOWN},
        {"", "cpu 100 0 0 900", NULL, NULL, NULL, DEVICE_UNKNOWN},
        {"cpu 0 0 0 0 100", "cpu 60 0 0 0 50", NULL, NULL, NULL, 100},
        {"cpu 50 0 0 100", "cpu 40 0 0 200", NULL, NULL, NULL, 0},
        /* Two processors allowed: a second in half a second is all of it. */
        {"", "", "200000 100000\n", "usage_usec 5000\n", "usage_usec 505000\n", 50},
        {"", "", "200000 100000\n", "usage_usec 5000\nuser_usec 1\n", "usage_usec 9005000\n", 100},
        {"", "", "max 100000\n", "usage_usec 5000\n", "usage_usec 505000\n", DEVICE_UNKNOWN},
        {"", "", "200000 0\n", "usage_usec 5000\n", "usage_usec 505000\n", DEVICE_UNKNOWN},
        {"", "", "0 100000\n", "usage_usec 5000\n", "usage_usec 505000\n", DEVICE_UNKNOWN},
        {"", "", "200000\n", "usage_usec 5000\n", "usage_usec 505000\n", DEVICE_UNKNOWN},
        {"", "", "200000 100000\n", "usage_usec 5000\n", "user_usec 505000\n", DEVICE_UNKNOWN},
        {"", "", "200000 100000\n", "usage_usec 505000\n", "usage_usec 5000\n", DEVICE_UNKNOWN},
        {"", "", "9223372036854775807 1\n", "usage_usec 0\n", "usage_usec 9223372036854775807\n",
         0},
        {"", "", "1 9223372036854775807\n", "usage_usec 0\n", "usage_usec 9223372036854775807\n",
         100},
        /* Whichever is nearer to its end. */
        {"cpu 0 0 0 0", "cpu 90 0 0 10", "200000 100000\n", "usage_usec 0\n", "usage_usec 500000\n",
         90},
        {"cpu 0 0 0 0", "cpu 10 0 0 90", "200000 100000\n", "usage_usec 0\n", "usage_usec 500000\n",
         50},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct cpu_reading a =
            reading(7 * SECOND, cases[i].before, cases[i].max, cases[i].used_from);
        struct cpu_reading b =
            reading(7 * SECOND + SECOND / 2, cases[i].after, cases[i].max, cases[i].used_to);
        print_message("%zu\n", i);
        assert_int_equal(cpu_percent(&a, &b), cases[i].percent);
        /* A process that was moved to another place is not compared. */
        b.groups_count++;
        const int alone = cpu_percent(&a, &b);
        assert_true(alone == DEVICE_UNKNOWN || alone <= cases[i].percent);
    }
}

/* More groups than are kept. */
static void test_many_groups(void **state)
{
    const struct cpu_group_texts group = {.memory_max = "1048576\n",
                                          .memory_current = "0\n",
                                          .cpu_max = "1000 1000\n",
                                          .cpu_stat = "usage_usec 1\n"};
    struct cpu_reading r = cpu_reading_at(SECOND);
    (void)state;
    for (int i = 0; i < CPU_GROUPS_MAX + 5; i++)
        cpu_read_group(&r, &group);
    assert_int_equal(r.groups_count, CPU_GROUPS_MAX);
    assert_int_equal(r.memory_bytes, MIB);
}

/* Any bytes: what comes out makes sense, or is unknown. */
static void test_noise(void **state)
{
    static const char alphabet[] = "cpu 0123456789\n:max.kBMemTotalAvib-_sgefi";
    const unsigned seed = 20261121;
    unsigned random = seed;
    (void)state;
    print_message("seed %u\n", seed);
    for (int i = 0; i < 20000; i++) {
        char text[2][64];
        for (int t = 0; t < 2; t++) {
            const char *starts[] = {"cpu ", "MemTotal: 9\nMemAvailable: ", "usage_usec ", ""};
            size_t length = (size_t)snprintf(text[t], sizeof(text[t]), "%s", starts[(i + t) % 4]);
            for (; length < sizeof(text[t]) - 1; length++) {
                random = random * 1664525u + 1013904223u;
                text[t][length] = alphabet[(random >> 8) % (sizeof(alphabet) - 1)];
            }
            text[t][length] = '\0';
        }
        struct cpu_reading r[2] = {cpu_reading_at(1), cpu_reading_at(SECOND)};
        char path[CPU_PATH_MAX];
        for (int t = 0; t < 2; t++) {
            cpu_read_stat(&r[t], text[t]);
            cpu_read_meminfo(&r[t], text[t]);
            cpu_read_group(&r[t],
                           &(struct cpu_group_texts){text[0], text[1], text[0], text[1], text[t]});
            cpu_group_path(text[t], path);
            assert_true(r[t].busy <= r[t].total);
            assert_true(r[t].free <= r[t].memory_bytes || r[t].memory_bytes == DEVICE_UNKNOWN);
        }
        assert_in_range(cpu_percent(&r[0], &r[1]) + 1, 0, 101);
    }
}

/* This machine's. */
static void test_this_machine(void **state)
{
    struct device_use a;
    (void)state;
    cpu_sense(&a);
    print_message("%d %% of the processors, %lld of %lld MiB\n", a.compute_percent,
                  (long long)(a.memory_used_bytes / MIB), (long long)(cpu_memory_bytes() / MIB));
    assert_in_range(a.compute_percent + 1, 0, 101); /* some containers do not say */
    assert_true(a.memory_used_bytes > 0);
    assert_true(cpu_memory_bytes() >= a.memory_used_bytes);
    assert_int_equal(a.temperature_c, DEVICE_UNKNOWN);
    assert_int_equal(a.decoder_percent, DEVICE_UNKNOWN);
    assert_int_equal(a.clock_mhz, DEVICE_UNKNOWN);
    assert_string_equal(a.slowed_by, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticks),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_memory_of_groups),
        cmocka_unit_test(test_paths_of_groups),
        cmocka_unit_test(test_use),
        cmocka_unit_test(test_many_groups),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

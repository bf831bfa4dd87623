/* gpu/encode.h over a dynamic loader of the test's own: libraries that are missing, too old, or
 * refuse to start; and what is said of each status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpu/encode.h"

#define API (16 * NVENCAPI_MAJOR_VERSION + NVENCAPI_MINOR_VERSION)

/* ---- the loader ------------------------------------------------------------------------------ */

void *fake_dlopen(const char *name, int flags);
void *fake_dlsym(void *library, const char *name);
char *fake_dlerror(void);

static struct {
    bool missing;
    const char *no_symbol;
    uint32_t version;
    NVENCSTATUS version_status, create_status;
    const char *words;
} library;

static const char *fake_words(void *session)
{
    assert_ptr_equal(session, &library);
    return library.words;
}

static NVENCSTATUS fake_version(uint32_t *version)
{
    *version = library.version;
    return library.version_status;
}

static NVENCSTATUS fake_create(NV_ENCODE_API_FUNCTION_LIST *list)
{
    assert_int_equal(list->version, NV_ENCODE_API_FUNCTION_LIST_VER);
    if (library.create_status == NV_ENC_SUCCESS)
        list->nvEncGetLastErrorString = fake_words;
    return library.create_status;
}

void *fake_dlopen(const char *name, int flags)
{
    (void)flags;
    assert_string_equal(name, "libnvidia-encode.so.1");
    return library.missing ? NULL : &library;
}

void *fake_dlsym(void *handle, const char *name)
{
    union {
        NVENCSTATUS (*version)(uint32_t *);
        NVENCSTATUS (*create)(NV_ENCODE_API_FUNCTION_LIST *);
        void *address;
    } found = {.address = NULL};
    assert_ptr_equal(handle, &library);
    if (library.no_symbol && !strcmp(name, library.no_symbol))
        return NULL;
    if (!strcmp(name, "NvEncodeAPIGetMaxSupportedVersion"))
        found.version = fake_version;
    else if (!strcmp(name, "NvEncodeAPICreateInstance"))
        found.create = fake_create;
    return found.address;
}

char *fake_dlerror(void)
{
    static char text[] = "the loader's reason";
    return text;
}

static void library_reset(void)
{
    memset(&library, 0, sizeof(library));
    library.version = API;
}

/* ---- loading --------------------------------------------------------------------------------- */

struct outcome {
    int code;
    bool words;
    struct error err;
};

/* What a process finds that starts now: the library is loaded once. */
static struct outcome start(void)
{
    struct outcome *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct gpu_encode *api = NULL;
        for (int i = 0; i < 2; i++) /* the second answer is as the first */
            shared->code = gpu_encode(&api, &shared->err);
        if (api)
            shared->words = api->functions.nvEncGetLastErrorString != NULL;
        _exit(shared->code == 0 || !api ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    const struct outcome outcome = *shared;
    munmap(shared, sizeof(*shared));
    return outcome;
}

static void has_words(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (!strstr(text, *words))
            fail_msg("\"%s\" is not in: %s", *words, text);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void refuses(const char *const *words)
{
    const struct outcome outcome = start();
    assert_int_equal(outcome.code, RGPU_ERROR_DEVICE);
    assert_int_equal(outcome.err.code, RGPU_ERROR_DEVICE);
    has_words(outcome.err.text, words);
}

static void test_loads(void **state)
{
    (void)state;
    library_reset();
    for (uint32_t newer = 0; newer < 40; newer += 13) {
        library.version = API + newer;
        const struct outcome outcome = start();
        assert_int_equal(outcome.code, 0);
        assert_true(outcome.words);
    }
}

static void test_not_there(void **state)
{
    (void)state;
    library_reset();
    library.missing = true;
    refuses(WORDS("the loader's reason", "NVIDIA_DRIVER_CAPABILITIES=compute,video,utility",
                  "libnvidia-encode1"));
}

static void test_too_old(void **state)
{
    (void)state;
    library_reset();
    library.version = 16 * 9 + 1;
    char needs[64];
    snprintf(needs, sizeof(needs), "needs %d.%d", NVENCAPI_MAJOR_VERSION, NVENCAPI_MINOR_VERSION);
    refuses(WORDS("too old", "NVENC API 9.1", needs, "install driver ", " or later"));
    library.version = API - 1;
    refuses(WORDS("too old"));
    static const char *const symbols[] = {"NvEncodeAPIGetMaxSupportedVersion",
                                          "NvEncodeAPICreateInstance"};
    for (size_t i = 0; i < 2; i++) {
        library_reset();
        library.no_symbol = symbols[i];
        refuses(WORDS("too old", "lacks", symbols[i], "install driver "));
    }
}

static void test_no_start(void **state)
{
    (void)state;
    library_reset();
    library.create_status = NV_ENC_ERR_INVALID_VERSION;
    refuses(WORDS("does not start", "NV_ENC_ERR_INVALID_VERSION"));
    library.create_status = NV_ENC_ERR_OUT_OF_MEMORY;
    refuses(WORDS("does not start", "NV_ENC_ERR_OUT_OF_MEMORY"));
    library_reset();
    library.version_status = NV_ENC_ERR_GENERIC;
    library.version = 0;
    refuses(WORDS("does not start", "NV_ENC_ERR_GENERIC"));
}

/* ---- statuses -------------------------------------------------------------------------------- */

static int say(struct error *err, NVENCSTATUS status, const char *words)
{
    library.words = words;
    return gpu_encode_error(err, status, "an encoder on cuda:3", words ? &library : NULL);
}

static void test_statuses(void **state)
{
    (void)state;
    const struct gpu_encode *api = NULL;
    library_reset();
    assert_int_equal(gpu_encode(&api, NULL), 0);
    for (int status = NV_ENC_ERR_NO_ENCODE_DEVICE; status <= NV_ENC_ERR_RESOURCE_NOT_MAPPED;
         status++) {
        struct error err = {0};
        char number[16];
        snprintf(number, sizeof(number), ", %d)", status);
        const int code = say(&err, (NVENCSTATUS)status, NULL);
        assert_true(code < 0);
        assert_int_equal(err.code, code);
        has_words(err.text, WORDS("an encoder on cuda:3: ", "NV_ENC_ERR_", number));
        if (strstr(err.text, "unknown"))
            fail_msg("%d is not in the table: %s", status, err.text);
    }
    struct error err = {0};
    assert_int_equal(say(&err, (NVENCSTATUS)4711, NULL), RGPU_ERROR_DEVICE);
    has_words(err.text, WORDS("unknown", "4711"));
    assert_int_equal(gpu_encode_error(NULL, NV_ENC_ERR_GENERIC, "it", NULL), RGPU_ERROR_DEVICE);
}

static void test_codes(void **state)
{
    (void)state;
    static const struct {
        NVENCSTATUS status;
        bool session;
        int code;
        const char *word;
    } cases[] = {
        {NV_ENC_ERR_NO_ENCODE_DEVICE, false, RGPU_ERROR_UNSUPPORTED, "no GPU with an encoder"},
        {NV_ENC_ERR_UNSUPPORTED_DEVICE, false, RGPU_ERROR_UNSUPPORTED, "has no encoder"},
        {NV_ENC_ERR_INVALID_PARAM, true, RGPU_ERROR_UNSUPPORTED, "parameters"},
        {NV_ENC_ERR_UNSUPPORTED_PARAM, true, RGPU_ERROR_UNSUPPORTED, "cannot"},
        {NV_ENC_ERR_OUT_OF_MEMORY, false, RGPU_ERROR_LIMIT, "lower --jobs"},
        {NV_ENC_ERR_OUT_OF_MEMORY, true, RGPU_ERROR_MEMORY, "memory is used up"},
        {NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY, false, RGPU_ERROR_LIMIT, "lower --jobs"},
        {NV_ENC_ERR_INVALID_VERSION, false, RGPU_ERROR_DEVICE, "install driver "},
        {NV_ENC_ERR_DEVICE_NOT_EXIST, true, RGPU_ERROR_DEVICE, "opened again"},
        {NV_ENC_ERR_GENERIC, true, RGPU_ERROR_DEVICE, "Xid"},
    };
    const struct gpu_encode *api = NULL;
    library_reset();
    assert_int_equal(gpu_encode(&api, NULL), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        assert_int_equal(say(&err, cases[i].status, cases[i].session ? "" : NULL), cases[i].code);
        has_words(err.text, WORDS(cases[i].word));
    }
}

/* NVENC's last words: in one line, without their end, and never so long that the rest is lost. */
static void test_words(void **state)
{
    (void)state;
    const struct gpu_encode *api = NULL;
    struct error err = {0};
    library_reset();
    assert_int_equal(gpu_encode(&api, NULL), 0);
    say(&err, NV_ENC_ERR_INVALID_PARAM, "Invalid Level.\n");
    has_words(err.text, WORDS("(NV_ENC_ERR_INVALID_PARAM, 8: Invalid Level)"));
    say(&err, NV_ENC_ERR_INVALID_PARAM, " .\r\n");
    has_words(err.text, WORDS("(NV_ENC_ERR_INVALID_PARAM, 8)"));
    library.words = NULL;
    gpu_encode_error(&err, NV_ENC_ERR_INVALID_PARAM, "it", &library);
    has_words(err.text, WORDS("(NV_ENC_ERR_INVALID_PARAM, 8)"));
    char many[2000];
    memset(many, 'w', sizeof(many));
    many[sizeof(many) - 1] = '\0';
    say(&err, NV_ENC_ERR_INVALID_PARAM, many);
    assert_int_equal(err.text[strlen(err.text) - 1], ')');
}

int main(void)
{
    /* Those that fork come first: this process loads the library in the others. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loads),    cmocka_unit_test(test_not_there),
        cmocka_unit_test(test_too_old),  cmocka_unit_test(test_no_start),
        cmocka_unit_test(test_statuses), cmocka_unit_test(test_codes),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

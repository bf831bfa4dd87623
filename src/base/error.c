#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

const char *rgpu_error_name(int code)
{
    switch (code) {
#define NAME(name, value, text)                                                                    \
    case value:                                                                                    \
        return "RGPU_ERROR_" #name;
        RGPU_ERRORS(NAME)
#undef NAME
    default:
        return "RGPU_ERROR_UNKNOWN";
    }
}

const char *rgpu_error_text(int code)
{
    switch (code) {
#define TEXT(name, value, text)                                                                    \
    case value:                                                                                    \
        return text;
        RGPU_ERRORS(TEXT)
#undef TEXT
    default:
        return "unknown error";
    }
}

struct error *error_print(struct error *err, const char *format, ...)
{
    if (err) {
        int number = errno;
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
        errno = number;
    }
    return err;
}

void error_keep(struct error *err, int code)
{
    if (err)
        err->code = code;
}

int error_from_errno(int errno_value)
{
    switch (errno_value) {
    case 0:
        return RGPU_ERROR_OK;
    case ENOMEM:
        return RGPU_ERROR_MEMORY;
    case EINVAL:
        return RGPU_ERROR_PARAM;
    case ENOENT:
    case ENOTDIR:
        return RGPU_ERROR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return RGPU_ERROR_ACCESS;
    case EEXIST:
    case ENOTEMPTY:
        return RGPU_ERROR_EXISTS;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return RGPU_ERROR_NO_SPACE;
    default:
        return RGPU_ERROR_IO;
    }
}

/* The tests of media/nal.h once more, on its path without vector instructions. The definitions here
 * stand in for those of the library. */
#undef __SSE2__
/* NOLINTBEGIN(bugprone-suspicious-include): sources on purpose, see above. */
#include "../../../src/media/nal.c"
#include "unit/media/nal.c"
/* NOLINTEND(bugprone-suspicious-include) */

/* SPDX-License-Identifier: MIT */
/* Error numbers, returned negative. Values are those of POSIX systems. */
#ifndef STRATA_LIB_ERRNO_H
#define STRATA_LIB_ERRNO_H

#define EIO 5
#define ENOENT 2
#define ENOMEM 12
#define EFAULT 14
#define EBUSY 16
#define EEXIST 17
#define ENODEV 19
#define EINVAL 22
#define ENOSPC 28
#define ERANGE 34
#define ECANCELED 125

#endif

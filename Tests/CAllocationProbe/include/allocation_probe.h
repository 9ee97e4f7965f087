// Counts heap allocations of the whole process. Linked into test executables only, where it stands in for the C
// library's malloc and its relatives.
#ifndef ALLOCATION_PROBE_H
#define ALLOCATION_PROBE_H

// False where the C library cannot be stood in for (not glibc, or a sanitizer has taken the place).
int allocation_probe_works(void);
// Allocations since the start of the process, by any thread.
long allocation_probe_count(void);

#endif

// Loops that do nothing but keep one resource busy, to measure what this machine can do at most.
#ifndef CKPROBE_H
#define CKPROBE_H

#include <stddef.h>
#include <stdint.h>

// Integer and float multiply-adds at full rate in registers, with the instructions that the selected instruction set's
// products use. Return how many multiply-adds were done.
uint64_t ck_probe_int8(uint64_t rounds);
uint64_t ck_probe_float(uint64_t rounds);

// Reads `bytes` bytes (a multiple of 256) once, in order. The result depends on all of them.
uint64_t ck_probe_read(const void *memory, size_t bytes);

#endif

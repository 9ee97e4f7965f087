import CKernels

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What this machine can do at most, measured: the yardstick of every speed figure.
///
/// Rates are over all threads together, in billions per second, the best of several short runs. On a shared machine
/// they vary by the minute, so they are measured in the same run as what they are compared with.
package struct MachineProbe {
    private let pool: ThreadPool

    /// - Parameter threads: how many threads work at once.
    package init(threads: Int) { pool = ThreadPool(threads: threads) }

    /// int8 multiply-adds with the selected instruction set, 10⁹ per second.
    package func int8Peak() -> Double { peak(ck_probe_int8) }

    /// float32 multiply-adds with the selected instruction set, 10⁹ per second.
    package func floatPeak() -> Double { peak(ck_probe_float) }

    private typealias Loop = (UInt64) -> UInt64

    private func peak(_ loop: @escaping Loop) -> Double {
        // A chunk of about a millisecond, so that a stolen core costs one chunk.
        var rounds: UInt64 = 1000
        var operations = loop(rounds)
        while Self.seconds({ operations = loop(rounds) }) < 1e-3 { rounds *= 2 }
        let chunks = 20 * pool.threads
        return best(of: 5) {
            pool.run(chunks, (loop, rounds)) { context, range, _ in
                for _ in range { _ = context.0(context.1) }
            }
            return Double(operations) * Double(chunks)
        }
    }

    /// How the memory of a bandwidth measurement is mapped.
    package enum Pages: String, Sendable, CaseIterable {
        case small = "4 KiB"
        case huge = "2 MiB"
    }

    /// Bytes streamed from memory, 10⁹ per second.
    /// - Parameter bytes: must be far larger than the caches.
    package func readBandwidth(bytes: Int = 1 << 30, pages: Pages = .small) -> Double {
        guard let memory = Self.memory(bytes: bytes, pages: pages) else { return 0 }
        let rate = readBandwidth(of: UnsafeRawBufferPointer(start: memory.pointer, count: bytes))
        withExtendedLifetime(memory) {}
        return rate
    }

    /// Private memory to stream from, or nil when the system has none.
    package static func memory(bytes: Int, pages: Pages) -> MappedMemory? {
        guard let memory = MappedMemory(trying: bytes, hugePages: false) else { return nil }
        #if canImport(Glibc)
            _ = madvise(memory.pointer, bytes, pages == .huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE)
        #endif
        // Untouched pages would all be the one page of zeros.
        memset(memory.pointer, 1, bytes)
        return memory
    }

    /// Bytes streamed from the given memory, for example a mapped model file, 10⁹ per second.
    package func readBandwidth(of memory: UnsafeRawBufferPointer, runs: Int = 5) -> Double {
        guard let start = memory.baseAddress else { return 0 }
        let chunk = 1 << 20
        let chunks = memory.count / chunk
        return best(of: runs) {
            pool.run(chunks, start) { start, range, _ in
                for index in range { _ = ck_probe_read(start + index * chunk, chunk) }
            }
            return Double(chunks * chunk)
        }
    }

    /// The best rate of `body`, which returns how much it has done, in 10⁹ per second.
    private func best(of runs: Int, _ body: () -> Double) -> Double {
        var best = 0.0
        for _ in 0..<runs {
            var amount = 0.0
            let seconds = Self.seconds { amount = body() }
            best = max(best, amount / seconds / 1e9)
        }
        return best
    }

    private static func seconds(_ body: () -> Void) -> Double {
        let clock = ContinuousClock()
        return clock.measure(body) / .seconds(1)
    }
}

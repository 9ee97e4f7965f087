import Engine
import Foundation
import Testing

@Suite("Thread pool", .keepsMemory)
struct ComputeThreadPoolTests {

    @Test("every index is visited once per loop, whatever the chunks", arguments: [1, 2, 3, 8], [1, 3, 1000])
    func coverage(threads: Int, grain: Int) {
        let pool = ThreadPool(threads: threads)
        for count in [0, 1, 2, 5, 64, 1001] {
            let visits = kept(FloatBuffer(count: count))
            for tapering in [false, true] {
                pool.run(count, grain: grain, tapering: tapering, visits.pointer) { visits, range, _ in
                    for index in range { visits[index] += 1 }
                }
            }
            #expect((0..<count).allSatisfy { visits.pointer[$0] == 2 })
        }
    }

    @Test("thousands of short loops, with pauses in which workers fall asleep")
    func manyLoops() {
        let pool = ThreadPool(threads: 4)
        let sums = kept(FloatBuffer(count: 64))
        for round in 0..<20_000 {
            pool.run(64, sums.pointer) { sums, range, _ in
                for index in range { sums[index] += 1 }
            }
            if round % 5000 == 0 { usleep(20_000) }
        }
        #expect((0..<64).allSatisfy { sums.pointer[$0] == 20_000 })
    }

    @Test("threads have scratch memory of their own, as large as asked for")
    func scratch() {
        let pool = ThreadPool(threads: 3)
        for bytes in [64, 1 << 16, 3 << 20] {
            let failures = kept(FloatBuffer(count: 300))
            pool.run(300, scratch: bytes, (failures.pointer, bytes)) { job, range, worker in
                let (failures, bytes) = job
                for index in range {
                    memset(worker.scratch, Int32(index & 0xff), bytes)
                    let last = worker.scratch.load(fromByteOffset: bytes - 1, as: UInt8.self)
                    let first = worker.scratch.load(as: UInt8.self)
                    if Int(last) != index & 0xff || Int(first) != index & 0xff { failures[index] = 1 }
                }
            }
            #expect((0..<300).allSatisfy { failures.pointer[$0] == 0 })
        }
        #expect(pool.growths > 0)
    }

    @Test("several callers take turns")
    func severalCallers() async {
        let pool = ThreadPool(threads: 2)
        let totals = kept(FloatBuffer(count: 4))
        await withTaskGroup(of: Void.self) { group in
            for caller in 0..<4 {
                group.addTask {
                    for _ in 0..<500 {
                        let values = kept(FloatBuffer(count: 40))
                        pool.run(40, values.pointer) { values, range, _ in
                            for index in range { values[index] = 1 }
                        }
                        for index in 0..<40 { totals.pointer[caller] += values.pointer[index] }
                    }
                }
            }
        }
        #expect((0..<4).allSatisfy { totals.pointer[$0] == 500 * 40 })
    }

    @Test("a pool ends with its last reference")
    func shutDown() {
        for _ in 0..<50 {
            let pool = ThreadPool(threads: 4)
            pool.run(8, ()) { _, _, _ in }
        }
        weak var gone: ThreadPool?
        do {
            let pool = ThreadPool(threads: 2)
            gone = pool
        }
        #expect(gone == nil)
    }
}

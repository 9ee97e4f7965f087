import CKernels
import Testing

@testable import Engine

@Suite struct MachineTests {
    /// A read loop that skipped a part would report a bandwidth that does not exist.
    @Test(arguments: [0, 255, 256, 70_000, (1 << 20) - 8])
    func readProbeSeesEveryWord(position: Int) {
        let bytes = 1 << 20
        let memory = MappedMemory.reserve(bytes)
        let aligned = position & ~7
        memory.pointer.storeBytes(of: 0x1234_5678_9ABC_DEF0, toByteOffset: aligned, as: UInt64.self)
        #expect(ck_probe_read(memory.pointer, bytes) == 0x1234_5678_9ABC_DEF0)
    }

    @Test func peaksAreProportionalToRounds() {
        #expect(ck_probe_int8(10) == 10 * ck_probe_int8(1))
        #expect(ck_probe_float(10) == 10 * ck_probe_float(1))
    }

    @Test func factsOfThisMachineAreSane() {
        let facts = MachineFacts.read()
        #expect(facts.cores >= 1)
        #expect(facts.memory > 1 << 28)
        #expect(facts.availableMemory <= facts.memory)
    }
}

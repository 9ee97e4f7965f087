import CAllocationProbe
import Engine
import Foundation
import Testing

@Suite("No allocation per token", .serialized)
struct ComputeAllocationTests {
    private static var model: String {
        URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../models/fable-moe-q8_0.gguf").path
    }

    @Test("the probe sees an allocation", .enabled(if: allocation_probe_works() != 0))
    func probe() {
        let before = allocation_probe_count()
        let array = [Int](unsafeUninitializedCapacity: 1000) { _, count in count = 0 }
        #expect(array.capacity >= 1000)
        #expect(allocation_probe_count() > before)
    }

    @Test("decoding", .enabled(if: allocation_probe_works() != 0), arguments: [1, 2])
    func decode(threads: Int) throws {
        var options = EngineOptions()
        options.threads = threads
        let model = try Model.load(path: Self.model, options: options)
        let generator = try model.makeGenerator(contextLength: 600)
        try generator.sync([Int32](1..<40))
        for token in 1...300 as ClosedRange<Int32> { try generator.decode(token) }
        // Other tests allocate meanwhile: of many single tokens, one must be free of it.
        var fewest = Int.max
        for token in 0..<200 as Range<Int32> where fewest > 0 {
            let before = allocation_probe_count()
            try generator.decode(token + 1)
            fewest = min(fewest, allocation_probe_count() - before)
        }
        #expect(fewest == 0, "allocations in one token")
    }
}

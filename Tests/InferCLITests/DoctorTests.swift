import Engine
import Foundation
import TestSupport
import Testing

@testable import InferCLI

@Suite struct DoctorTests {
    private func fit(available: Int, contextLength: Int = 64) throws -> ModelFit {
        let model = try Model.load(ToyModel.llama.file())
        return ModelFit(
            model, contextLength: contextLength, availableMemory: available,
            limits: .init(bandwidth: 66.24, int8Peak: 76.8))
    }

    /// The toy reads 65 608 bytes for its first token, 72 of them of the cache, and 63 · 72 more for the last of 64.
    @Test func limitsOfAModel() throws {
        let fit = try fit(available: 1 << 30)
        #expect(fit.fits)
        #expect(fit.bytes_per_token == 65_536 + 72)
        #expect(fit.bytes_per_token_full == fit.bytes_per_token + 63 * 72)
        #expect(abs(fit.decode_limit - 66.24e9 / fit.bytes_per_token) < 1e-3)
        // Without the output matrix, which a long prompt needs once.
        #expect(fit.macs_per_token == 7_680)
        #expect(abs(fit.prefill_limit - 1e7) < 1)
        #expect(fit.lines[0].hasSuffix(": fits"))
    }

    @Test func memoryThatDoesNotSuffice() throws {
        let needed = try fit(available: 1 << 30)
        #expect(needed.weight_bytes > 0 && needed.private_bytes > 0)
        #expect(try fit(available: needed.weight_bytes + needed.private_bytes).fits)
        let slow = try fit(available: needed.weight_bytes + needed.private_bytes - 1)
        #expect(!slow.fits)
        #expect(slow.lines[0].contains("read from disk"))
        #expect(try fit(available: 100).lines[0].contains("smaller context"))
    }

    @Test func theCommand() throws {
        let directory = try TemporaryDirectory()
        let path = try ToyModel.qwen35moe.write(to: directory)
        let result = try InferProcess.run(["doctor", "--threads", "1", "--model", path, "-c", "100", "--json"])
        #expect(result.status == 0, "\(result.errors)")
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        for key in ["cpu", "isa", "caches", "page_bytes", "memory_bytes"] {
            #expect(object[key] != nil, "\(key)")
        }
        let bandwidth = try #require(object["bandwidth"] as? [[String: Any]])
        #expect(bandwidth.map { $0["pages"] as? String } == ["4 KiB", "2 MiB"])
        for entry in bandwidth { #expect((entry["gigabytes_per_second"] as? Double ?? 0) > 0) }
        let peak = try #require(object["peak"] as? [[String: Any]])
        #expect(peak.count == 1)
        #expect((peak[0]["int8_gmac_per_second"] as? Double ?? 0) > 0)
        #expect((peak[0]["float_gmac_per_second"] as? Double ?? 0) > 0)
        let model = try #require(object["model"] as? [String: Any])
        #expect(model["fits"] as? Bool == true)
        #expect(model["context_length"] as? Int == 100)
        #expect((model["decode_limit"] as? Double ?? 0) > 0)
    }

    @Test func theTableJudgesTheModel() throws {
        let directory = try TemporaryDirectory()
        let path = try ToyModel.qwen35moe.write(to: directory)
        let result = try InferProcess.run(["doctor", "--threads", "1", "--model", path, "-c", "100"])
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output.contains("context of 100 tokens: fits"))
        #expect(result.output.contains("tokens/s"), "\(result.output)")
    }

    /// Refused before anything is measured.
    @Test func aMissingModel() throws {
        let result = try InferProcess.run(["doctor", "--model", "/nowhere.gguf"])
        #expect(result.status == 1)
        #expect(result.output.isEmpty)
        #expect(result.errors.contains("/nowhere.gguf"))
    }
}

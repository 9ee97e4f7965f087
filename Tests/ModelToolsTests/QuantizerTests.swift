import Engine
import Foundation
import GGUF
import TestSupport
import Testing

@testable import ModelTools

@Suite struct QuantizerTests {
    /// A source with a matrix of each kind that the rules tell apart.
    private func source(_ change: (inout ToyFile) -> Void = { _ in }) -> ToyFile {
        var file = ToyFile()
        file["general.architecture"] = .string("llama")
        file["general.file_type"] = .uint32(0)
        file["llama.block_count"] = .uint32(1)
        file["llama.attention.head_count"] = .uint32(4)
        file["llama.attention.head_count_kv"] = .uint32(1)
        file.random("token_embd.weight", [256, 40])
        file.random("output.weight", [256, 40])
        file.floats("output_norm.weight", [256], [Float](repeating: 1, count: 256))
        file.random("blk.0.attn_q.weight", [256, 256])
        file.random("blk.0.ffn_down.weight", [512, 256])
        file.random("blk.0.ffn_gate_inp.weight", [256, 4])
        file.random("blk.0.ffn_up_exps.weight", [256, 32, 4])
        file.random("blk.0.odd.weight", [96, 8])
        change(&file)
        return file
    }

    private func mixture(_ name: String) throws -> QuantMixture { try #require(QuantMixture(name: name)) }

    private func quantize(
        _ path: String, to target: String, _ type: String = "Q4_K_M", threads: Int = 2,
        exceptions: QuantizePlan.Exceptions = .init(), progress: @escaping (Int, Int) -> Bool = { _, _ in true }
    ) throws {
        let file = try GGUFFile(path: path)
        let plan = try QuantizePlan(file, mixture: try mixture(type), exceptions: exceptions)
        try Quantizer(file, plan: plan, threads: threads).write(to: target, progress: progress)
    }

    @Test(arguments: QuantMixture.all.map { $0.name })
    func everyMixture(name: String) throws {
        let directory = try TemporaryDirectory()
        let path = try source().write(to: directory)
        let target = directory.path("out.gguf")
        let before = try GGUFFile(path: path)
        let mixture = try mixture(name)
        if mixture.needsImportance {
            let importance = try importance(for: before, in: directory)
            let quantizer = try Quantizer(
                before, plan: try QuantizePlan(before, mixture: mixture), importance: importance, threads: 2)
            try quantizer.write(to: target) { _, _ in true }
        } else {
            try quantize(path, to: target, name)
        }
        let after = try GGUFFile(path: target)
        #expect(
            after.tensors.map { $0.name }.filter { !$0.hasSuffix(".scale") } == before.tensors.map { $0.name })
        #expect(after.metadata["general.file_type"]?.int == GGUFFileType.number(name))
        #expect(after.metadata["llama.block_count"]?.int == 1)
        #expect(after.tensor("output_norm.weight")?.type == .f32)
        #expect(after.tensor("blk.0.ffn_gate_inp.weight")?.type == .f32)
        for tensor in after.tensors where !tensor.name.hasSuffix(".scale") {
            let format = try #require(QuantFormat.find(tensor.type))
            let original = try #require(before.tensor(tensor.name))
            let expected = try #require(QuantFormat.find(.f32)).dequantize(row: Array(original.bytes))
            var found = format.dequantize(row: Array(tensor.bytes))
            if tensor.type == .nvfp4 {
                let factors = try #require(after.tensor(tensor.name.replacing(".weight", with: ".scale"))).floats
                #expect(factors.count == tensor.dimensions.dropFirst(2).reduce(1, *))
                let member = found.count / factors.count
                found = found.enumerated().map { $1 * factors[$0 / member] }
            }
            let error = zip(expected, found).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
            let energy = expected.reduce(0) { $0 + $1 * $1 }
            #expect(error / energy < Self.bound(tensor.type), "\(tensor.name) \(tensor.type) \(error / energy)")
        }
    }

    /// What is lost of even numbers at most: with k levels 1 / k² at best.
    private static func bound(_ type: GGUFTensorType) -> Float {
        switch type {
        case .iq1_S, .iq1_M: 0.35
        case .q1_0: 0.3
        case .iq2_XXS, .iq2_XS, .iq2_S, .tq1_0, .tq2_0, .q2_0: 0.2
        case .q2_K, .iq3_XXS, .iq3_S: 0.1
        default: 0.04
        }
    }

    /// Says that every fifth column of every matrix matters more.
    private func importance(for file: GGUFFile, in directory: TemporaryDirectory) throws -> ImportanceMatrix {
        var matrix = ToyFile()
        matrix["general.type"] = .string("imatrix")
        for tensor in file.tensors where QuantizePlan.isQuantizable(tensor) {
            let experts = tensor.dimensions.dropFirst(2).reduce(1, *)
            let count = tensor.dimensions[0] * experts
            matrix.floats(
                tensor.name + ".in_sum2", [tensor.dimensions[0], experts], (0..<count).map { $0 % 5 == 0 ? 2 : 1 })
            matrix.floats(tensor.name + ".counts", [1, experts], [Float](repeating: 1, count: experts))
        }
        return try ImportanceMatrix(path: try matrix.write(to: directory, name: "importance.gguf"))
    }

    /// With so few bits nothing useful comes without knowing which columns matter; what needs it is named before work
    /// begins. The embedding table and the output are another matter: no calibration sees their inputs.
    @Test(arguments: QuantMixture.all.filter(\.needsImportance))
    func tinyFormatsAskForAnImportanceMatrix(mixture: QuantMixture) throws {
        let directory = try TemporaryDirectory()
        let file = try GGUFFile(path: try source().write(to: directory))
        let plan = try QuantizePlan(file, mixture: mixture)
        #expect {
            try Quantizer(file, plan: plan, threads: 1)
        } throws: { error in
            guard case QuantizeError.noImportance(let tensor, _) = error else { return false }
            return tensor.hasPrefix("blk.0.")
        }
        var exceptions = QuantizePlan.Exceptions()
        exceptions.output = .iq2_XXS
        exceptions.embedding = .iq3_XXS
        let other = try QuantizePlan(file, mixture: try self.mixture("Q4_K_M"), exceptions: exceptions)
        #expect(throws: Never.self) { try Quantizer(file, plan: other, threads: 1) }
    }

    @Test func threadsDoNotChangeTheFile() throws {
        let directory = try TemporaryDirectory()
        let path = try source().write(to: directory)
        let files = try (1...3).map { threads in
            try quantize(path, to: directory.path("\(threads)"), threads: threads)
            return try Data(contentsOf: URL(filePath: directory.path("\(threads)")))
        }
        #expect(files[0] == files[1] && files[1] == files[2])
    }

    @Test func aBrokenRunGoesOn() throws {
        let directory = try TemporaryDirectory()
        let path = try source().write(to: directory)
        try quantize(path, to: directory.path("whole.gguf"))
        let target = directory.path("out.gguf")
        var seen: [Int] = []
        #expect(throws: QuantizeError.cancelled) {
            try quantize(path, to: target, progress: { done, total in done < total / 2 })
        }
        #expect(try directory.contents().count == 3, "the source, the whole one, the part")
        #expect(!FileManager.default.fileExists(atPath: target))
        // Another type starts anew and does not touch the part.
        try quantize(path, to: directory.path("out.gguf"), "Q8_0")
        try quantize(
            path, to: target,
            progress: { done, _ in
                seen.append(done); return true
            })
        #expect(try #require(seen.first) > 40 * 144, "it did not begin at zero")
        #expect(
            try Data(contentsOf: URL(filePath: target)) == Data(contentsOf: URL(filePath: directory.path("whole.gguf")))
        )
        #expect(try directory.contents().count == 3, "the part is gone")
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func numbersThatAreNoneAreNamed(value: Float) throws {
        let directory = try TemporaryDirectory()
        var values = [Float](repeating: 0.5, count: 256 * 8)
        values[256 * 5 + 17] = value
        let path = try source { $0.floats("blk.0.attn_k.weight", [256, 8], values) }.write(to: directory)
        #expect {
            try quantize(path, to: directory.path("out.gguf"))
        } throws: { error in
            guard case QuantizeError.notFinite("blk.0.attn_k.weight", 5, 17, _) = error else { return false }
            return true
        }
        #expect(try directory.contents().count == 1, "nothing is left")
    }

    @Test func exceptionsToTheMixture() throws {
        let file = try source().file()
        var exceptions = QuantizePlan.Exceptions()
        exceptions.patterns = [
            (try TensorPattern("ffn_(up|gate)_exps"), .q6_K), (try TensorPattern("^blk"), .q5_0),
        ]
        exceptions.output = .q8_0
        exceptions.embedding = .f16
        let plan = try QuantizePlan(file, mixture: try mixture("Q4_K_M"), exceptions: exceptions)
        let types = Dictionary(uniqueKeysWithValues: plan.items.map { ($0.tensor.name, $0.type) })
        #expect(types["blk.0.ffn_up_exps.weight"] == .q6_K)
        #expect(types["blk.0.attn_q.weight"] == .q5_0)
        #expect(types["output.weight"] == .q8_0)
        #expect(types["token_embd.weight"] == .f16)
        #expect(types["blk.0.ffn_gate_inp.weight"] == .f32)

        exceptions.patterns = [(try TensorPattern("nothing"), .q6_K)]
        #expect(throws: QuantizeError.unusedPattern("nothing")) {
            try QuantizePlan(file, mixture: try mixture("Q4_K_M"), exceptions: exceptions)
        }
        exceptions.patterns = [(try TensorPattern("odd"), .q4_K)]
        #expect(throws: QuantizeError.rowLength(tensor: "blk.0.odd.weight", found: 96, type: .q4_K)) {
            try QuantizePlan(file, mixture: try mixture("Q4_K_M"), exceptions: exceptions)
        }
        #expect(throws: QuantizeError.self) { try TensorPattern("(") }
    }

    @Test func whatCannotBeASource() throws {
        let directory = try TemporaryDirectory()
        let path = try source().write(to: directory)
        #expect(throws: QuantizeError.sameFile(path)) { try quantize(path, to: path) }
        let small = directory.path("small.gguf")
        try quantize(path, to: small)
        #expect {
            try quantize(small, to: directory.path("again.gguf"), "Q5_K_M")
        } throws: { error in
            guard case QuantizeError.alreadyQuantized = error else { return false }
            return true
        }
        // From Q8_0 it works.
        try quantize(path, to: directory.path("eight.gguf"), "Q8_0")
        try quantize(directory.path("eight.gguf"), to: directory.path("four.gguf"), "Q4_0")
    }

    @Test func anImportanceMatrixOfAnotherModel() throws {
        let directory = try TemporaryDirectory()
        let path = try source().write(to: directory)
        func matrix(columns: Int, experts: Int, type: String = "imatrix") throws -> String {
            var file = ToyFile()
            file["general.type"] = .string(type)
            file.floats(
                "blk.0.ffn_up_exps.weight.in_sum2", [columns, experts],
                (0..<columns * experts).map { Float($0 % 7) })
            file.floats("blk.0.ffn_up_exps.weight.counts", [1, experts], (0..<experts).map { Float(3 + $0 * 3) })
            return try file.write(to: directory, name: "\(columns)-\(experts).gguf")
        }
        let file = try GGUFFile(path: path)
        let plan = try QuantizePlan(file, mixture: try mixture("Q4_K_M"))
        let wrong = try Quantizer(
            file, plan: plan, importance: ImportanceMatrix(path: matrix(columns: 256, experts: 3)), threads: 1)
        #expect(throws: ImportanceError.self) { try wrong.write(to: directory.path("a")) { _, _ in true } }
        let right = try Quantizer(
            file, plan: plan, importance: ImportanceMatrix(path: matrix(columns: 256, experts: 4)), threads: 1)
        try right.write(to: directory.path("b")) { _, _ in true }
        try quantize(path, to: directory.path("c"))
        #expect(
            try Data(contentsOf: URL(filePath: directory.path("b")))
                != Data(contentsOf: URL(filePath: directory.path("c"))))
        #expect(throws: ImportanceError.self) {
            try ImportanceMatrix(path: matrix(columns: 1, experts: 1, type: "model"))
        }
    }

    /// What is wrong in an importance matrix is told with the entry's name, before anything is written.
    @Test func importanceMatricesThatAreNone() throws {
        let directory = try TemporaryDirectory()
        func matrix(
            name: String = "blk.0.ffn_up_exps.weight", _ sums: [Float], _ counts: [Float], experts: Int = 4
        ) throws -> ImportanceMatrix {
            var file = ToyFile()
            file["general.type"] = .string("imatrix")
            file.floats("\(name).in_sum2", [sums.count / experts, experts], sums)
            file.floats("\(name).counts", [1, counts.count], counts)
            return try ImportanceMatrix(path: file.write(to: directory, name: "imatrix.gguf"))
        }
        let sums = [Float](repeating: 2, count: 1024)
        let counts: [Float] = [3, 3, 3, 3]
        func changed(_ list: [Float], _ index: Int, _ value: Float) -> [Float] {
            var list = list
            list[index] = value
            return list
        }
        func words(_ body: () throws -> ImportanceMatrix) -> String {
            do { return "none: \(try body())" } catch { return "\(error)" }
        }
        for value in [Float.nan, .infinity, -.infinity, -1] {
            let bad = words { try matrix(changed(sums, 300, value), counts) }
            #expect(bad.contains("\"blk.0.ffn_up_exps.weight\", expert 1, has the sum"), "\(bad)")
            let badCount = words { try matrix(sums, changed(counts, 2, value)) }
            #expect(badCount.contains("\"blk.0.ffn_up_exps.weight\", expert 2, has the count"), "\(badCount)")
        }
        let noCount = words { try matrix(sums, changed(counts, 3, 0)) }
        #expect(noCount.contains("\"blk.0.ffn_up_exps.weight\", expert 3, has sums that are not 0"), "\(noCount)")
        let shape = words { try matrix(sums, [3, 3]) }
        #expect(shape.contains("\"blk.0.ffn_up_exps.weight\" has sums of shape"), "\(shape)")

        let file = try GGUFFile(path: source().write(to: directory))
        let plan = try QuantizePlan(file, mixture: try mixture("Q4_K_M"))
        let other = try matrix(name: "blk.77.attn_q.weight", sums, counts)
        let quantizer = try Quantizer(file, plan: plan, importance: other, threads: 1)
        #expect {
            try quantizer.write(to: directory.path("out.gguf")) { _, _ in true }
        } throws: { "\($0)".contains("\"blk.77.attn_q.weight\"") }
        #expect(!FileManager.default.fileExists(atPath: directory.path("out.gguf")))
    }

    /// Experts that the text never reached are rounded as without importance while the others use theirs; both are told.
    @Test func expertsThatTheTextNeverReached() throws {
        let directory = try TemporaryDirectory()
        let path = try source().write(to: directory)
        let file = try GGUFFile(path: path)
        let plan = try QuantizePlan(file, mixture: try mixture("Q4_K_M"))
        var toy = ToyFile()
        toy["general.type"] = .string("imatrix")
        // Experts 0 and 2 were met, in three columns of four.
        let sums = (0..<1024).map { (index: Int) -> Float in
            let (expert, column) = (index / 256, index % 256)
            return expert % 2 == 0 && column % 4 != 0 ? Float(column % 7 + 1) * 1e-3 : 0
        }
        toy.floats("blk.0.ffn_up_exps.weight.in_sum2", [256, 4], sums)
        toy.floats("blk.0.ffn_up_exps.weight.counts", [1, 4], [5, 0, 9, 0])
        let matrix = try ImportanceMatrix(path: toy.write(to: directory, name: "imatrix.gguf"))
        #expect(matrix.gaps == .init(experts: 4, unseen: 2, columns: 128))
        #expect(matrix.gaps.text?.contains("2 of 4 experts' matrices, 128 columns") == true)
        try Quantizer(file, plan: plan, importance: matrix, threads: 1)
            .write(to: directory.path("with.gguf")) { _, _ in true }
        try Quantizer(file, plan: plan, threads: 1).write(to: directory.path("without.gguf")) { _, _ in true }
        let name = "blk.0.ffn_up_exps.weight"
        let (with, without) = try (
            #require(GGUFFile(path: directory.path("with.gguf")).tensor(name)),
            #require(GGUFFile(path: directory.path("without.gguf")).tensor(name))
        )
        let size = with.bytes.count / 4
        for expert in 0..<4 {
            let range = expert * size..<(expert + 1) * size
            let isSame = with.bytes[range].elementsEqual(without.bytes[range])
            #expect(isSame == (expert % 2 == 1), "\(expert)")
        }
    }
}

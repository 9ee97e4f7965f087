import Foundation
package import GGUF

/// Which format each tensor of a file gets.
package struct QuantizePlan {
    package struct Item {
        package let tensor: GGUFTensor
        package let type: GGUFTensorType

        package var byteCount: Int { type.byteCount(of: tensor.dimensions.reduce(1, *)) ?? 0 }
        package var isChanged: Bool { type != tensor.type }

        /// The tensor with the factor of a matrix that becomes NVFP4.
        var factorName: String? {
            guard type == .nvfp4, isChanged, tensor.name.hasSuffix(".weight") else { return nil }
            return "\(tensor.name.dropLast("weight".count))scale"
        }
    }

    /// What the user wants otherwise than the mixture.
    package struct Exceptions {
        /// The first pattern found in a tensor's name decides. Applies to matrices only.
        package var patterns: [(pattern: TensorPattern, type: GGUFTensorType)] = []
        /// For `output.weight`, or the embedding table where that is the output matrix too.
        package var output: GGUFTensorType?
        package var embedding: GGUFTensorType?

        package init() {}
    }

    /// In the order of the source file.
    package let items: [Item]
    /// Nil where each matrix has a format of its own.
    package let mixture: QuantMixture?

    /// - Throws: `QuantizeError.alreadyQuantized` for a matrix that is neither float nor Q8_0 and would change,
    ///   `.unusedPattern` for a pattern that names no matrix, `.rowLength` for a wish that a matrix cannot fulfil.
    package init(_ file: GGUFFile, mixture: QuantMixture, exceptions: Exceptions = Exceptions()) throws(QuantizeError) {
        try self.init(file, optional: mixture, exceptions)
    }

    /// - Parameter mixture: nil: nothing changes but the exceptions.
    private init(_ file: GGUFFile, optional mixture: QuantMixture?, _ exceptions: Exceptions) throws(QuantizeError) {
        self.mixture = mixture
        let facts = QuantMixture.ModelFacts(file)
        var valueProjections = 0
        var used = Set<Int>()
        var items: [Item] = []
        for tensor in file.tensors {
            guard Self.isQuantizable(tensor) else {
                items.append(Item(tensor: tensor, type: tensor.type))
                continue
            }
            let role = QuantMixture.Role(tensorName: tensor.name)
            var type =
                mixture?.type(
                    ofMatrix: tensor.name, dimensions: tensor.dimensions, valueIndex: valueProjections, facts: facts)
                ?? tensor.type
            if role.isValueProjection { valueProjections += 1 }
            let isOutput = role == .output || (role == .embedding && facts.tiedEmbeddings)
            var wish: GGUFTensorType?
            if role == .embedding, let embedding = exceptions.embedding { wish = embedding }
            if isOutput, let output = exceptions.output { wish = output }
            if let index = exceptions.patterns.firstIndex(where: { $0.pattern.matches(tensor.name) }) {
                wish = exceptions.patterns[index].type
                used.insert(index)
            }
            if let wish {
                guard tensor.dimensions[0] % wish.blockSize == 0 else {
                    throw .rowLength(tensor: tensor.name, found: tensor.dimensions[0], type: wish)
                }
                type = wish
            }
            if type != tensor.type, tensor.type.isQuantized, tensor.type != .q8_0 {
                throw .alreadyQuantized(tensor: tensor.name, type: tensor.type)
            }
            items.append(Item(tensor: tensor, type: type))
        }
        if let unused = exceptions.patterns.indices.first(where: { !used.contains($0) }) {
            throw .unusedPattern(exceptions.patterns[unused].pattern.text)
        }
        self.items = items
    }

    /// Formats by what they cost.
    /// - Parameters:
    ///   - candidates: what may be chosen for each matrix; the others stay as they are.
    ///   - exceptions: count before the choice.
    /// - Throws: `QuantizeError.budget` with the least possible, and as the other initializer.
    package init(
        _ file: GGUFFile, bitsPerWeight: Double, _ candidates: [BitBudget.Candidate],
        exceptions: Exceptions = Exceptions()
    ) throws(QuantizeError) {
        // Without a mixture what changes is an exception.
        let wishes = try QuantizePlan(file, optional: nil, exceptions)
        let fixed = Set(wishes.items.filter(\.isChanged).map(\.tensor.name))
        let open = candidates.filter { !fixed.contains($0.tensor) }
        let names = Set(open.map(\.tensor))
        let others = wishes.items.filter { !names.contains($0.tensor.name) }.reduce(0) { $0 + $1.byteCount }
        let weights = file.tensors.reduce(0) { $0 + $1.elementCount }
        guard let budget = BitBudget(open, limit: Int(bitsPerWeight * Double(weights) / 8) - others) else {
            let least = open.reduce(others) { $0 + ($1.choices.map(\.bytes).min() ?? 0) }
            throw .budget(bitsPerWeight, least: Double(least) * 8 / Double(max(weights, 1)))
        }
        mixture = nil
        items = wishes.items.map { Item(tensor: $0.tensor, type: budget.types[$0.tensor.name] ?? $0.type) }
    }

    package var byteCount: Int { items.reduce(0) { $0 + $1.byteCount } }

    /// As llama.cpp has it: not for the output and the embedding table, whose inputs no calibration sees.
    func needsImportance(_ item: Item) -> Bool {
        let role = QuantMixture.Role(tensorName: item.tensor.name)
        guard role != .output, role != .embedding else { return false }
        return mixture?.needsImportance(item.type) ?? QuantMixture.needsImportance(item.type)
    }

    /// Bits per weight over all tensors.
    package var bitsPerWeight: Double {
        let weights = items.reduce(0) { $0 + $1.tensor.dimensions.reduce(1, *) }
        return Double(byteCount) * 8 / Double(max(1, weights))
    }

    /// Matrices that products are made with; vectors, routers, short convolutions and tables of positions are small and
    /// sensitive, and stay as they are. The same rule as llama.cpp's, so that files have the same mixture.
    static func isQuantizable(_ tensor: GGUFTensor) -> Bool { isQuantizable(tensor.name, tensor.dimensions) }

    static func isQuantizable(_ name: String, _ dimensions: [Int]) -> Bool {
        guard name.hasSuffix(".weight"), dimensions.count >= 2, dimensions[1] > 1 else { return false }
        let kept = [
            "_norm.weight", "ffn_gate_inp.weight", "position_embd.weight", "token_types.weight",
            "ssm_conv1d.weight", "shortconv.conv.weight", "attn_rel_b.weight",
        ]
        return !kept.contains { name.hasSuffix($0) }
    }
}

extension QuantMixture.ModelFacts {
    /// Read leniently: a file need not be one that the engine runs.
    init(_ file: GGUFFile) {
        let architecture = file.metadata[GGUFFormat.architectureKey]?.stringValue ?? ""
        func count(_ key: String) -> Int? {
            let value = file.metadata["\(architecture).\(key)"]
            return value?.int ?? value?.array?.ints()?.max()
        }
        let heads = count("attention.head_count") ?? 1
        self.init(
            blocks: count("block_count") ?? 0,
            queryHeadsPerKeyHead: heads / max(1, count("attention.head_count_kv") ?? heads),
            experts: count("expert_count") ?? 0,
            tiedEmbeddings: file.tensor("output.weight") == nil,
            valueProjections: file.tensors.count { QuantMixture.Role(tensorName: $0.name).isValueProjection })
    }
}

/// A regular expression that is looked for in tensor names.
package struct TensorPattern {
    package let text: String
    private let expression: Regex<AnyRegexOutput>

    /// - Throws: `QuantizeError.invalidPattern`.
    package init(_ text: String) throws(QuantizeError) {
        self.text = text
        do { expression = try Regex(text) } catch { throw .invalidPattern(text, "\(error)") }
    }

    package func matches(_ name: String) -> Bool { name.firstMatch(of: expression) != nil }
}

package enum QuantizeError: Error, Equatable, CustomStringConvertible {
    case alreadyQuantized(tensor: String, type: GGUFTensorType)
    case unusedPattern(String)
    case invalidPattern(String, String)
    case rowLength(tensor: String, found: Int, type: GGUFTensorType)
    case notFinite(tensor: String, row: Int, column: Int, value: String)
    case unsupportedSource(tensor: String, type: GGUFTensorType)
    case unsupportedTarget(GGUFTensorType)
    case noImportance(tensor: String, type: GGUFTensorType)
    case sameFile(String)
    case budget(Double, least: Double)
    case cancelled

    package var description: String {
        switch self {
        case .alreadyQuantized(let tensor, let type):
            "tensor \"\(tensor)\" is \(type.name) already; expected a file of F32, F16, BF16 or Q8_0 weights, because "
                + "quantizing twice loses more than either step"
        case .unusedPattern(let pattern): "no matrix has a name that matches \"\(pattern)\""
        case .invalidPattern(let pattern, let reason): "\"\(pattern)\" is not a regular expression: \(reason)"
        case .rowLength(let tensor, let found, let type):
            "tensor \"\(tensor)\": rows of \(found) values cannot be \(type.name), which has blocks of \(type.blockSize)"
        case .notFinite(let tensor, let row, let column, let value):
            "tensor \"\(tensor)\": row \(row), column \(column) is \(value), expected a finite number"
        case .unsupportedSource(let tensor, let type): "tensor \"\(tensor)\": cannot read \(type.name)"
        case .unsupportedTarget(let type): "cannot make \(type.name)"
        case .noImportance(let tensor, let type):
            "tensor \"\(tensor)\" cannot be \(type.name) without an importance matrix that says which of its columns "
                + "matter: give one with --imatrix, or a text with --text"
        case .budget(let wanted, let least):
            String(format: "%.2f bits per weight are too few: the smallest formats take %.2f", wanted, least + 0.005)
        case .sameFile(let path): "\(path) is both source and target"
        case .cancelled: "stopped"
        }
    }
}

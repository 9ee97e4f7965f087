package import GGUF

/// A named recipe that gives each tensor of a model its number format, such as `Q4_K_M`.
///
/// The mixtures are those people know from llama.cpp, so that files made here have the sizes and the speed of the files
/// they download. Source: llama.cpp `src/llama-quant.cpp` (October 2026), without the rules that need an importance
/// matrix and those of architectures the engine does not run.
package struct QuantMixture: Sendable, Hashable {
    package let name: String
    /// What a matrix gets when no rule says otherwise.
    package let base: GGUFTensorType
    private let grade: Grade

    private enum Grade: Sendable { case plain, small, medium, large, experts }

    /// The model facts that the rules ask for.
    package struct ModelFacts: Sendable {
        /// Transformer blocks in the file.
        package var blocks: Int
        /// Query heads per key-value head, 1 when there is no attention.
        package var queryHeadsPerKeyHead: Int
        /// Experts per block, 0 for a dense model.
        package var experts: Int
        /// True when the embedding table is the output matrix too.
        package var tiedEmbeddings: Bool
        /// How many blocks have a value projection (`attn_v`, `attn_qkv`).
        package var valueProjections: Int

        package init(
            blocks: Int, queryHeadsPerKeyHead: Int, experts: Int, tiedEmbeddings: Bool, valueProjections: Int
        ) {
            self.blocks = blocks
            self.queryHeadsPerKeyHead = queryHeadsPerKeyHead
            self.experts = experts
            self.tiedEmbeddings = tiedEmbeddings
            self.valueProjections = valueProjections
        }
    }

    package static let all: [QuantMixture] = [
        QuantMixture("F32", .f32), QuantMixture("F16", .f16), QuantMixture("BF16", .bf16),
        QuantMixture("Q8_0", .q8_0), QuantMixture("Q4_0", .q4_0), QuantMixture("Q4_1", .q4_1),
        QuantMixture("Q5_0", .q5_0), QuantMixture("Q5_1", .q5_1),
        QuantMixture("Q2_K", .q2_K, .medium),
        QuantMixture("Q3_K_S", .q3_K, .small), QuantMixture("Q3_K_M", .q3_K, .medium),
        QuantMixture("Q3_K_L", .q3_K, .large),
        QuantMixture("Q4_K_S", .q4_K, .small), QuantMixture("Q4_K_M", .q4_K, .medium),
        QuantMixture("Q5_K_S", .q5_K, .small), QuantMixture("Q5_K_M", .q5_K, .medium),
        QuantMixture("Q6_K", .q6_K),
        QuantMixture("IQ4_NL", .iq4_NL, .small), QuantMixture("IQ4_XS", .iq4_XS, .small),
        QuantMixture("MXFP4", .mxfp4, .experts),
    ]

    private init(_ name: String, _ base: GGUFTensorType, _ grade: Grade = .plain) {
        self.name = name
        self.base = base
        self.grade = grade
    }

    /// The mixture of that name, letter case ignored.
    package init?(name: String) {
        let wanted = name.uppercased()
        guard let found = Self.all.first(where: { $0.name == wanted }) else { return nil }
        self = found
    }

    /// The format of one matrix.
    /// - Parameters:
    ///   - name: the GGUF tensor name.
    ///   - dimensions: in GGUF order, the row length first.
    ///   - valueIndex: how many value projections come before this tensor; used for value projections only.
    package func type(
        ofMatrix name: String, dimensions: [Int], valueIndex: Int, facts: ModelFacts
    ) -> GGUFTensorType {
        Self.fallback(wanted(name, dimensions, valueIndex, facts), rowLength: dimensions[0])
    }

    private func wanted(
        _ name: String, _ dimensions: [Int], _ valueIndex: Int, _ facts: ModelFacts
    ) -> GGUFTensorType {
        guard base.isQuantized else { return base }
        let role = Role(tensorName: name)
        if role == .output || (role == .embedding && facts.tiedEmbeddings) {
            let keepsEight = base == .q8_0 || grade == .experts || dimensions[0] % base.blockSize != 0
            return keepsEight ? .q8_0 : .q6_K
        }
        if grade == .experts { return dimensions.count > 2 ? base : .q8_0 }
        let block = Self.blockIndex(of: name) ?? 0
        switch role {
        case .output, .embedding, .other: return base
        case .value, .fusedQKV: return valueType(valueIndex, facts)
        case .key: return facts.experts == 8 ? .q8_0 : base
        case .down: return downType(block, facts)
        case .attentionOutput: return attentionOutputType(facts)
        }
    }

    private func valueType(_ index: Int, _ facts: ModelFacts) -> GGUFTensorType {
        if facts.experts == 8 { return .q8_0 }
        switch (base, grade) {
        case (.q2_K, _): return facts.queryHeadsPerKeyHead >= 4 ? .q4_K : .q3_K
        case (.q3_K, .medium): return index < 2 ? .q5_K : .q4_K
        case (.q3_K, .large): return .q5_K
        case (.iq4_NL, _), (.iq4_XS, _): return facts.queryHeadsPerKeyHead >= 4 ? .q5_K : base
        case (.q4_K, .medium), (.q5_K, .medium):
            return Self.deservesMoreBits(index, of: facts.valueProjections) ? .q6_K : base
        case (.q4_K, .small): return index < 4 ? .q5_K : base
        default: return base
        }
    }

    private func downType(_ block: Int, _ facts: ModelFacts) -> GGUFTensorType {
        let isEarly = block < facts.blocks / 8
        switch (base, grade) {
        case (.q2_K, _): return .q3_K
        case (.q3_K, .medium): return block < facts.blocks / 16 ? .q5_K : .q4_K
        case (.q3_K, .large): return .q5_K
        case (.q4_K, .medium), (.q5_K, .medium):
            return Self.deservesMoreBits(block, of: facts.blocks) ? .q6_K : base
        case (.q4_K, .small), (.iq4_NL, _), (.iq4_XS, _): return isEarly ? .q5_K : base
        default: return base
        }
    }

    private func attentionOutputType(_ facts: ModelFacts) -> GGUFTensorType {
        if facts.experts == 8 {
            let isSmall = [.q2_K, .q3_K, .q4_K, .iq4_NL, .iq4_XS].contains(base) && grade != .large
            return isSmall ? .q5_K : base
        }
        switch (base, grade) {
        case (.q2_K, _): return .q3_K
        case (.q3_K, .medium): return .q4_K
        case (.q3_K, .large): return .q5_K
        default: return base
        }
    }

    /// The first and the last eighth of the blocks, and every third one between.
    private static func deservesMoreBits(_ index: Int, of count: Int) -> Bool {
        index < count / 8 || index >= 7 * count / 8 || (index - count / 8) % 3 == 2
    }

    /// A row that is not a whole number of 256-blocks takes the next larger format with blocks of 32, and F16 where
    /// even 32 does not divide it.
    private static func fallback(_ type: GGUFTensorType, rowLength: Int) -> GGUFTensorType {
        guard rowLength % type.blockSize != 0 else { return type }
        let smaller: GGUFTensorType =
            switch type {
            case .iq4_XS: .iq4_NL
            case .q2_K, .q3_K: .q4_0
            case .q4_K: .q5_0
            case .q5_K: .q5_1
            case .q6_K: .q8_0
            default: .f16
            }
        return rowLength % smaller.blockSize == 0 ? smaller : .f16
    }

    private static func blockIndex(of name: String) -> Int? {
        let parts = name.split(separator: ".")
        return parts.count > 2 && parts[0] == "blk" ? Int(parts[1]) : nil
    }

    /// What a matrix is for, as far as the mixtures distinguish.
    package enum Role: Sendable {
        case embedding, output, value, fusedQKV, key, attentionOutput, down, other

        package init(tensorName name: String) {
            self =
                if name == "token_embd.weight" {
                    .embedding
                } else if name == "output.weight" {
                    .output
                } else if name.hasSuffix(".attn_v.weight") || name.hasSuffix(".attn_kv_b.weight") {
                    .value
                } else if name.hasSuffix(".attn_qkv.weight") {
                    .fusedQKV
                } else if name.hasSuffix(".attn_k.weight") {
                    .key
                } else if name.hasSuffix(".attn_output.weight") {
                    .attentionOutput
                } else if name.contains(".ffn_down") {
                    .down
                } else {
                    .other
                }
        }

        /// True for the tensors that `valueIndex` counts.
        package var isValueProjection: Bool { self == .value || self == .fusedQKV }
    }
}

package import GGUF

/// A named recipe that gives each tensor of a model its number format, such as `Q4_K_M`.
///
/// The mixtures are those people know from llama.cpp, so that files made here have the sizes and the speed of the files
/// they download. Source: llama.cpp `src/llama-quant.cpp` (October 2026), without the rules of architectures the engine
/// does not run. Where a rule asks for an importance matrix, mixtures that need one have it and the others have none.
package struct QuantMixture: Sendable, Hashable {
    package let name: String
    /// What a matrix gets when no rule says otherwise.
    package let base: GGUFTensorType
    private let grade: Grade

    private enum Grade: Sendable {
        case plain, small, medium, large, experts
        /// Between small and the format's own size.
        case extraSmall
    }

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
        QuantMixture("IQ1_S", .iq1_S, .small), QuantMixture("IQ1_M", .iq1_M, .small),
        QuantMixture("IQ2_XXS", .iq2_XXS, .small), QuantMixture("IQ2_XS", .iq2_XS, .small),
        QuantMixture("IQ2_S", .iq2_XS, .medium), QuantMixture("IQ2_M", .iq2_S, .medium),
        QuantMixture("Q2_K_S", .q2_K, .small), QuantMixture("Q2_K", .q2_K, .medium),
        QuantMixture("IQ3_XXS", .iq3_XXS, .small), QuantMixture("IQ3_XS", .iq3_S, .extraSmall),
        QuantMixture("IQ3_S", .iq3_S, .small), QuantMixture("IQ3_M", .iq3_S, .medium),
        QuantMixture("Q3_K_S", .q3_K, .small), QuantMixture("Q3_K_M", .q3_K, .medium),
        QuantMixture("Q3_K_L", .q3_K, .large),
        QuantMixture("Q4_K_S", .q4_K, .small), QuantMixture("Q4_K_M", .q4_K, .medium),
        QuantMixture("Q5_K_S", .q5_K, .small), QuantMixture("Q5_K_M", .q5_K, .medium),
        QuantMixture("Q6_K", .q6_K),
        QuantMixture("IQ4_NL", .iq4_NL, .small), QuantMixture("IQ4_XS", .iq4_XS, .small),
        QuantMixture("MXFP4", .mxfp4, .experts), QuantMixture("NVFP4", .nvfp4),
        QuantMixture("TQ1_0", .tq1_0), QuantMixture("TQ2_0", .tq2_0), QuantMixture("Q1_0", .q1_0),
        QuantMixture("Q2_0", .q2_0),
    ]

    private init(_ name: String, _ base: GGUFTensorType, _ grade: Grade = .plain) {
        self.name = name
        self.base = base
        self.grade = grade
    }

    /// Those that can be made row by row, from nothing but the weights: without an importance matrix, and without the
    /// factors of whole matrices that NVFP4 has.
    package static var direct: [QuantMixture] { all.filter { !$0.needsImportance && $0.base != .nvfp4 } }

    /// True where matrices other than the embedding table and the output need an importance matrix.
    package var needsImportance: Bool { needsImportance(base) || grade == .extraSmall }

    /// Whether a matrix of that format needs one here: of formats with so few bits nothing useful comes without.
    func needsImportance(_ type: GGUFTensorType) -> Bool {
        type == .q2_K ? base == .q2_K && grade == .small : Self.needsImportance(type)
    }

    /// The same outside of a mixture.
    static func needsImportance(_ type: GGUFTensorType) -> Bool {
        [.iq1_S, .iq1_M, .iq2_XXS, .iq2_XS, .iq2_S, .iq3_XXS].contains(type)
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
            let keepsEight =
                base == .q8_0 || base == .nvfp4 || grade == .experts || dimensions[0] % base.blockSize != 0
            return keepsEight ? .q8_0 : isTiny || base == .iq3_XXS ? .q5_K : .q6_K
        }
        if grade == .experts { return dimensions.count > 2 ? base : .q8_0 }
        let block = Self.blockIndex(of: name) ?? 0
        switch role {
        case .embedding: return embeddingType
        case .output, .other: return base
        case .value, .fusedQKV: return valueType(valueIndex, facts)
        case .key, .query: return keyType(isKey: role == .key, facts)
        case .gate, .up:
            let isInner = block >= facts.blocks / 8 && block < 7 * facts.blocks / 8
            return grade == .extraSmall && isInner ? .iq3_XXS : base
        case .down: return downType(block, facts)
        case .attentionOutput: return attentionOutputType(facts)
        }
    }

    /// About two bits and less.
    private var isTiny: Bool { [.iq1_S, .iq1_M, .iq2_XXS, .iq2_XS, .iq2_S].contains(base) }

    /// What tiny mixtures give to matrices that deserve more.
    private var tinyUpgrade: GGUFTensorType { grade == .medium ? .iq3_S : .q2_K }

    private var embeddingType: GGUFTensorType {
        if isTiny { return tinyUpgrade }
        switch base {
        case .iq3_XXS: return .iq3_S
        case .tq1_0, .tq2_0: return .q4_K
        case .nvfp4: return .q8_0
        default: return base
        }
    }

    private func keyType(isKey: Bool, _ facts: ModelFacts) -> GGUFTensorType {
        if isKey, facts.experts == 8 { return isTiny ? .q4_K : .q8_0 }
        return grade == .extraSmall ? .iq3_XXS : base == .iq3_XXS ? .iq2_S : base
    }

    private func valueType(_ index: Int, _ facts: ModelFacts) -> GGUFTensorType {
        if isTiny { return facts.queryHeadsPerKeyHead >= 4 || facts.experts >= 4 ? .q4_K : tinyUpgrade }
        if facts.experts == 8 { return .q8_0 }
        switch (base, grade) {
        case (.iq3_S, .medium): return .q4_K
        case (.q2_K, .small), (.iq3_XXS, _), (.iq3_S, _): return facts.queryHeadsPerKeyHead >= 4 ? .q4_K : base
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
        if isTiny { return isEarly ? tinyUpgrade : base }
        switch (base, grade) {
        case (.q2_K, .small): return isEarly ? .q4_K : base
        case (.iq3_S, .medium):
            let deserves = facts.experts == 8 && Self.deservesMoreBits(block, of: facts.blocks)
            return isEarly || deserves ? .q4_K : base
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
            let small: [GGUFTensorType] = [.q2_K, .q3_K, .q4_K, .iq3_XXS, .iq3_S, .iq4_NL, .iq4_XS]
            let isSmall = small.contains(base) && grade != .large && (base != .q2_K || grade == .medium)
            return isTiny || isSmall ? .q5_K : base
        }
        switch (base, grade) {
        case (.iq1_S, _), (.iq1_M, _): return .iq2_XXS
        case (.iq2_XS, .medium), (.iq2_S, .medium), (.iq3_XXS, _): return .iq3_S
        case (.iq3_S, .medium): return .q4_K
        case (.q2_K, .small): return base
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
            case .iq1_S, .iq1_M, .iq2_XXS, .iq2_XS, .iq2_S, .iq3_XXS, .iq3_S, .iq4_XS: .iq4_NL
            case .q2_K, .q3_K, .tq1_0, .tq2_0, .q1_0, .q2_0, .nvfp4: .q4_0
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
        case embedding, output, value, fusedQKV, key, query, attentionOutput, down, gate, up, other

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
                } else if name.hasSuffix(".attn_q.weight") {
                    .query
                } else if name.hasSuffix(".attn_output.weight") {
                    .attentionOutput
                } else if name.contains(".ffn_down") {
                    .down
                } else if name.contains(".ffn_gate") {
                    .gate
                } else if name.contains(".ffn_up") {
                    .up
                } else {
                    .other
                }
        }

        /// True for the tensors that `valueIndex` counts.
        package var isValueProjection: Bool { self == .value || self == .fusedQKV }
    }
}

package import GGUF

/// Writes a random-weight model of true shape, for measuring speed without a download.
package struct Synthesizer {
    private let preset: Preset
    private let mixture: QuantMixture

    package init(preset: Preset, mixture: QuantMixture) {
        self.preset = preset
        self.mixture = mixture
    }

    /// One tensor of the file to be.
    package struct PlannedTensor: Sendable {
        package let name: String
        package let dimensions: [Int]
        package let type: GGUFTensorType
        let values: Preset.Values?
    }

    /// Every tensor in file order.
    package func plan() -> [PlannedTensor] {
        let facts = facts()
        var valueProjections = 0
        return expandedTensors().map { name, tensor in
            let type: GGUFTensorType
            if tensor.values != nil {
                type = .f32
            } else if let fixed = tensor.type.flatMap({ GGUFTensorType(name: $0) }) {
                type = fixed
            } else {
                type = mixture.type(
                    ofMatrix: name, dimensions: tensor.shape, valueIndex: valueProjections, facts: facts)
                if QuantMixture.Role(tensorName: name).isValueProjection { valueProjections += 1 }
            }
            return PlannedTensor(name: name, dimensions: tensor.shape, type: type, values: tensor.values)
        }
    }

    /// Writes the file; the same seed gives the same bytes.
    /// - Parameter progress: called with the bytes written so far and the bytes of all tensors; false stops.
    /// - Throws: `GGUFError`, `CancellationError`. Nothing is left behind then.
    package func write(to path: String, seed: UInt64, progress: @escaping (Int, Int) -> Bool) throws {
        var writer = GGUFWriter(metadata: metadata())
        let plan = plan()
        let total = plan.reduce(0) { $0 + $1.byteCount }
        var done = 0
        for (index, tensor) in plan.enumerated() {
            try writer.add(tensor: tensor.name, dimensions: tensor.dimensions, type: tensor.type) { sink in
                var random = RandomWeights(seed: seed &+ UInt64(index) &* 0x1_0001)
                try tensor.produce(with: &random) { piece in
                    try sink(piece)
                    done += piece.count
                    guard progress(done, total) else { throw CancellationError() }
                }
            }
        }
        try writer.write(to: path)
    }

    private func metadata() -> [(String, GGUFValue)] {
        var described = preset.metadata.map { ($0.key, $0.value.gguf) }
        if let type = GGUFFileType.number(mixture.name) {
            described.append((GGUFFileType.key, .uint32(UInt32(type))))
        }
        let vocabulary = SyntheticVocabulary(pre: preset.vocabulary.pre, tokens: preset.vocabulary.tokens)
        return described + [("general.quantization_version", .uint32(2))] + vocabulary.metadata
    }

    /// Block by block, the tensors outside the blocks where they stand in the preset.
    private func expandedTensors() -> [(name: String, tensor: Preset.Tensor)] {
        let perBlock = preset.tensors.filter { $0.name.hasPrefix(Self.blockPrefix) }
        let outside = preset.tensors.filter { !$0.name.hasPrefix(Self.blockPrefix) }
        return outside.map { ($0.name, $0) }
            + (0..<preset.blocks).flatMap { block in
                perBlock.filter { $0.only?.contains(block) ?? true }.map { tensor in
                    ("blk.\(block).\(tensor.name.dropFirst(Self.blockPrefix.count))", tensor)
                }
            }
    }

    private static let blockPrefix = "blk.*."

    private func facts() -> QuantMixture.ModelFacts {
        let names = expandedTensors().map { $0.name }
        let experts = preset.tensors.first { $0.name.hasSuffix("ffn_down_exps.weight") }?.shape.last ?? 0
        let heads = count("attention.head_count") ?? 1
        return QuantMixture.ModelFacts(
            blocks: preset.blocks,
            queryHeadsPerKeyHead: heads / max(1, count("attention.head_count_kv") ?? heads),
            experts: experts,
            tiedEmbeddings: !names.contains("output.weight"),
            valueProjections: names.count { QuantMixture.Role(tensorName: $0).isValueProjection })
    }

    private func count(_ suffix: String) -> Int? {
        guard case .int(let value)? = preset.metadata.first(where: { $0.key.hasSuffix(".\(suffix)") })?.value else {
            return nil
        }
        return Int(value)
    }
}

extension Synthesizer.PlannedTensor {
    package var byteCount: Int { type.byteCount(of: dimensions.reduce(1, *)) ?? 0 }

    /// Gives the data to `sink` in pieces of whole blocks.
    fileprivate func produce(
        with random: inout RandomWeights, sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let pieceBytes = max(1, (1 << 20) / type.blockBytes) * type.blockBytes
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: min(pieceBytes, byteCount), alignment: 64)
        defer { piece.deallocate() }
        var rest = byteCount
        while rest > 0 {
            let part = UnsafeMutableRawBufferPointer(rebasing: piece[..<min(rest, piece.count)])
            if let values { fillFloats(part, values, &random) } else { fillMatrix(part, &random) }
            try sink(UnsafeRawBufferPointer(part))
            rest -= part.count
        }
    }

    private func fillMatrix(_ part: UnsafeMutableRawBufferPointer, _ random: inout RandomWeights) {
        random.fill(part, type: type, deviation: 1 / Float(dimensions[0]).squareRoot())
    }

    private func fillFloats(
        _ part: UnsafeMutableRawBufferPointer, _ values: Preset.Values, _ random: inout RandomWeights
    ) {
        let rowDeviation = 1 / Float(dimensions[0]).squareRoot()
        for index in 0..<(part.count / 4) {
            let value: Float =
                switch values {
                case .norm: 1 + random.spread(0.05)
                case .float: random.spread(rowDeviation)
                case .bias: random.spread(0.02)
                case .decay: -0.525 + 0.475 * random.unit()
                case .one: 1
                }
            part.storeBytes(of: value.bitPattern, toByteOffset: 4 * index, as: UInt32.self)
        }
    }
}

extension Preset.Value {
    fileprivate var gguf: GGUFValue {
        switch self {
        case .int(let value): .uint32(value)
        case .bool(let value): .bool(value)
        case .string(let value): .string(value)
        case .float(let value): .float32(value)
        case .ints(let values): .array(GGUFArray(values))
        case .bools(let values): .array(GGUFArray(values))
        }
    }
}

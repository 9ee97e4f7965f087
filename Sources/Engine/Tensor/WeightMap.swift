import CKernels
package import GGUF

/// The strict binder: hands out tensors by name and checks shape and type as it does.
///
/// A missing or misshaped tensor stops the load with its name, the expected and the found shape. Every tensor
/// taken is remembered, so that ``finish()`` can refuse a file with tensors that nobody asked for.
///
/// Shapes are given as (in, out): a product reads `in` values of a token and writes `out`; GGUF lists them as
/// `[in, out]`, expert stacks as `[in, out, experts]`. Dimensions of 1 do not count.
package final class WeightMap {
    /// One bound tensor, for counting parameters.
    package struct Entry: Sendable {
        package let name: String
        package let elements: Int
        package let bytes: Int
        /// Results of a product with it; 0 for a vector.
        package let rows: Int
        /// 1 unless the tensor is a stack of which only some members are used for a token.
        package let experts: Int
        package let format: String
    }

    package let file: GGUFFile
    package private(set) var entries: [Entry] = []
    /// Float vectors live in memory of our own: they are small, may be stored in another type, and their place
    /// in the file need not be aligned.
    package private(set) var vectors: [FloatBuffer] = []
    private var bound: Set<String> = []

    /// What was wrong with tensors so far; nil where the first fault ends the binding.
    package private(set) var faults: [EngineError]?
    /// Zeros that stand for tensors which are wrong.
    private var zeros: [MappedMemory] = []

    /// - Parameter goesOn: notes tensors that are missing or misshaped in ``faults`` and hands out zeros in their place,
    ///   to find all that is wrong with a file. Nothing may be computed with what is bound then.
    package init(_ file: GGUFFile, goesOn: Bool = false) {
        self.file = file
        faults = goesOn ? [] : nil
    }

    package func contains(_ name: String) -> Bool {
        file.tensor(name) != nil
    }

    /// The rows of a matrix whose height only the file knows.
    package func rowCount(_ name: String, cols: Int) throws(EngineError) -> Int {
        guard let tensor = file.tensor(name) else { throw .missingTensor(name: name, expected: [cols]) }
        guard tensor.dimensions.count == 2, tensor.dimensions[0] == cols else {
            throw .tensorShape(name: name, expected: [cols], found: tensor.dimensions)
        }
        return tensor.dimensions[1]
    }

    // MARK: Matrices

    package func matrix(_ name: String, in cols: Int, out rows: Int) throws(EngineError) -> Weight {
        try weight(name, [cols, rows], experts: 1)
    }

    package func experts(_ name: String, in cols: Int, out rows: Int, count: Int) throws(EngineError) -> Weight {
        try weight(name, [cols, rows, count], experts: count)
    }

    /// A stack of one matrix per head: every token is multiplied with all of them.
    package func heads(_ name: String, in cols: Int, out rows: Int, count: Int) throws(EngineError) -> Weight {
        try weight(name, [cols, rows, count], experts: count, countedAs: 1)
    }

    private func weight(
        _ name: String, _ shape: [Int], experts: Int, countedAs members: Int? = nil
    ) throws(EngineError) -> Weight {
        let (format, bytes) = try values(take(name, shape, experts: members ?? experts), name, shape)
        return Weight(
            name: name, format: format, bytes: bytes, rows: shape[1], cols: shape[0], experts: experts,
            factors: format.type == .nvfp4 ? try factors(name, experts) : nil)
    }

    /// The scales of NVFP4's 16 values do not reach far, so that a matrix has one more factor, or an expert its own:
    /// `name.scale` beside `name.weight`. That of the activations, `name.input_scale`, is for processors that compute
    /// with four bits, and has no meaning here.
    private func factors(_ name: String, _ experts: Int) throws(EngineError) -> Weight.Factors? {
        guard name.hasSuffix(".weight") else { return nil }
        let base = name.dropLast("weight".count)
        bound.insert("\(base)input_scale")
        guard let tensor = file.tensor("\(base)scale") else { return nil }
        let isSingle = trimmed(tensor.dimensions).isEmpty
        return Weight.Factors(try vector("\(base)scale", isSingle ? 1 : experts))
    }

    /// The format and the bytes of a tensor that was taken.
    private func values(
        _ tensor: Taken, _ name: String, _ shape: [Int]
    ) throws(EngineError) -> (format: QuantFormat, bytes: UnsafeRawPointer) {
        if let format = QuantFormat.find(tensor.type), shape[0].isMultiple(of: format.block),
            let bytes = tensor.bytes.baseAddress
        {
            return (format, bytes)
        }
        let zeros = try instead(of: shape, .unsupportedTensorType(tensor: name, type: tensor.type.description))
        return try values(zeros, name, shape)
    }

    // MARK: Vectors

    package func vector(_ name: String, _ count: Int) throws(EngineError) -> FloatVector {
        try floats(name, [count])
    }

    package func optionalVector(_ name: String, _ count: Int) throws(EngineError) -> FloatVector? {
        contains(name) ? try vector(name, count) : nil
    }

    /// A small table of floats, `rows` of `cols` contiguous values (convolution taps, for example).
    package func table(_ name: String, cols: Int, rows: Int) throws(EngineError) -> FloatVector {
        try floats(name, [cols, rows])
    }

    private func floats(_ name: String, _ shape: [Int]) throws(EngineError) -> FloatVector {
        let (format, source) = try values(take(name, shape, experts: 1), name, shape)
        let rows = shape.dropFirst().reduce(1, *)
        let rowBytes = shape[0] / format.block * format.blockBytes
        let vector = FloatBuffer(count: shape[0] * rows)
        for row in 0..<rows {
            ck_dequantize(format.kernel, source + row * rowBytes, shape[0], vector.pointer + row * shape[0])
        }
        vectors.append(vector)
        return vector.vector
    }

    /// A table of int32, `rows` of `cols` contiguous values.
    package func integers(_ name: String, cols: Int, rows: Int) throws(EngineError) -> [Int32] {
        // Zeros are no table of indices: a fault ends the binding here in any case.
        let noted = faults
        faults = nil
        defer { faults = noted }
        let tensor = try take(name, [cols, rows], experts: 1)
        guard tensor.type == .i32, tensor.bytes.count >= cols * rows * 4 else {
            throw .unsupportedTensorType(tensor: name, type: tensor.type.description)
        }
        return (0..<cols * rows).map {
            Int32(littleEndian: tensor.bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self))
        }
    }

    // MARK: Checks

    /// A tensor's bytes, or what stands for them.
    private struct Taken {
        let type: GGUFTensorType
        let bytes: UnsafeRawBufferPointer
    }

    private func take(_ name: String, _ shape: [Int], experts: Int) throws(EngineError) -> Taken {
        guard let tensor = file.tensor(name) else {
            return try instead(of: shape, .missingTensor(name: name, expected: shape))
        }
        guard trimmed(tensor.dimensions) == trimmed(shape) else {
            bound.insert(name)
            return try instead(of: shape, .tensorShape(name: name, expected: shape, found: tensor.dimensions))
        }
        // A tied or fused tensor is taken more than once and counted once.
        if bound.insert(name).inserted {
            let elements = tensor.dimensions.reduce(1, *)
            entries.append(
                Entry(
                    name: name, elements: elements, bytes: tensor.byteCount,
                    rows: shape.count > 1 ? shape[1] : 0, experts: experts,
                    format: tensor.type.description))
        }
        return Taken(type: tensor.type, bytes: tensor.bytes)
    }

    private func trimmed(_ shape: [Int]) -> [Int] { shape.filter { $0 != 1 } }

    /// Notes the fault and gives float zeros, or throws it: where the first fault counts, where there are too many to
    /// be of use, and where the shape is larger than anything that this file could hold.
    private func instead(of shape: [Int], _ fault: EngineError) throws(EngineError) -> Taken {
        guard let count = faults?.count, count < Self.mostFaults else { throw fault }
        let limit = max(Self.smallTensor, 4 * min(file.fileSize, 1 << 48))
        var elements = 1
        for size in shape {
            let (product, overflow) = elements.multipliedReportingOverflow(by: size)
            guard !overflow, product <= limit else { throw fault }
            elements = product
        }
        let bytes = 4 * elements
        if zeros.last.map({ $0.count < bytes }) ?? true {
            guard let larger = MappedMemory(trying: bytes, hugePages: false) else { throw fault }
            zeros.append(larger)
        }
        faults?.append(fault)
        return Taken(type: .f32, bytes: UnsafeRawBufferPointer(start: zeros.last?.pointer, count: bytes))
    }

    private static let mostFaults = 10_000
    /// Elements that a tensor may have however small the file is.
    private static let smallTensor = 1 << 24

    /// Keeps memory that takes the place of a tensor alive as long as the model.
    func own(_ buffer: FloatBuffer) { vectors.append(buffer) }

    /// A vector of ones, for what a file has no weights for.
    func ones(_ count: Int) -> FloatVector {
        let buffer = FloatBuffer([Float](repeating: 1, count: count))
        own(buffer)
        return buffer.vector
    }

    /// Counts the tensors of layers that are not run as taken.
    package func skip(layers: Range<Int>) {
        for layer in layers {
            for tensor in file.tensors where tensor.name.hasPrefix("blk.\(layer).") { bound.insert(tensor.name) }
        }
    }

    /// Counts a tensor that is not needed as taken, if it is there.
    package func skip(_ name: String) { bound.insert(name) }

    /// Throws if the file holds tensors that were never asked for.
    package func finish() throws(EngineError) {
        let unexpected = file.tensors.lazy.map(\.name).filter { !self.bound.contains($0) }
        guard unexpected.isEmpty else { throw .unexpectedTensors(names: [String](unexpected)) }
    }
}

/// The tensors of one block, or those outside the blocks: names are given without the `blk.N.` prefix and the `.weight` suffix.
package struct LayerWeights {
    package let map: WeightMap
    package let prefix: String

    package init(_ map: WeightMap, layer: Int) {
        self.map = map
        prefix = "blk.\(layer)."
    }

    /// The tensors outside the blocks.
    package init(outside map: WeightMap) {
        self.map = map
        prefix = ""
    }

    package func contains(_ name: String) -> Bool {
        map.contains("\(prefix)\(name).weight")
    }

    /// Whether `name.scale` is a part of the matrix itself; see ``Weight/factors``.
    package func hasFactors(_ name: String) -> Bool {
        map.file.tensor("\(prefix)\(name).weight")?.type == .nvfp4
    }

    package func matrix(_ name: String, in cols: Int, out rows: Int) throws(EngineError) -> Weight {
        try map.matrix("\(prefix)\(name).weight", in: cols, out: rows)
    }

    package func experts(_ name: String, in cols: Int, out rows: Int, count: Int) throws(EngineError) -> Weight {
        try map.experts("\(prefix)\(name).weight", in: cols, out: rows, count: count)
    }

    package func vector(_ name: String, _ count: Int) throws(EngineError) -> FloatVector {
        try map.vector("\(prefix)\(name).weight", count)
    }

    package func optionalVector(_ name: String, _ count: Int) throws(EngineError) -> FloatVector? {
        try map.optionalVector("\(prefix)\(name).weight", count)
    }

    package func table(_ name: String, cols: Int, rows: Int) throws(EngineError) -> FloatVector {
        try map.table("\(prefix)\(name).weight", cols: cols, rows: rows)
    }

    /// See ``WeightMap/skip(_:)``.
    package func skip(_ name: String) { map.skip("\(prefix)\(name).weight") }

    /// How many values a product with the tensor makes, as the file has it; 0 without one.
    package func rows(of name: String) -> Int {
        map.file.tensor("\(prefix)\(name).weight").map { $0.dimensions.dropFirst().first ?? 1 } ?? 0
    }

    package func table(exactly name: String, cols: Int, rows: Int) throws(EngineError) -> FloatVector {
        try map.table("\(prefix)\(name)", cols: cols, rows: rows)
    }

    /// How many values a product with the tensor reads, as the file has it.
    package func cols(of name: String) throws(EngineError) -> Int {
        let name = "\(prefix)\(name).weight"
        guard let tensor = map.file.tensor(name) else { throw .missingTensor(name: name, expected: []) }
        return tensor.dimensions[0]
    }

    /// `name.bias`: demanded, taken if it is there, or left alone.
    package func bias(_ name: String, _ count: Int, _ presence: Presence) throws(EngineError) -> FloatVector? {
        switch presence {
        case .absent: nil
        case .optional: try map.optionalVector("\(prefix)\(name).bias", count)
        case .required: try map.vector("\(prefix)\(name).bias", count)
        }
    }

    /// `name.bias` with one row for each of `count` experts.
    package func expertBias(
        _ name: String, _ width: Int, count: Int, _ presence: Presence
    ) throws(EngineError) -> FloatVector? {
        let name = "\(prefix)\(name).bias"
        guard presence == .required || (presence == .optional && map.contains(name)) else { return nil }
        return try map.table(name, cols: width, rows: count)
    }

    /// A vector whose name has no `.weight` suffix, such as `ssm_a` or `ssm_dt.bias`.
    package func vector(exactly name: String, _ count: Int) throws(EngineError) -> FloatVector {
        try map.vector("\(prefix)\(name)", count)
    }
}

/// Whether a file must, may or must not hold a tensor.
package enum Presence: Sendable {
    case absent, optional, required
}

extension FloatVector {
    /// The values of `range`, for files that stack several vectors in one tensor.
    func slice(_ range: Range<Int>) -> FloatVector {
        FloatVector(pointer + range.lowerBound, count: range.count)
    }
}

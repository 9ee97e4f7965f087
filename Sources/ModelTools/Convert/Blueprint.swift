import GGUF

/// Where the tensors that a family asks for come from: a checkpoint, or an adapter to one.
protocol TensorSource {
    /// Names as in the checkpoint, sorted.
    var names: [String] { get }
    func values(_ name: String) -> TensorValues?
    /// An adapter holds some matrices only, and each as two narrow ones: nothing is missing, and row lengths are free.
    var isAdapter: Bool { get }
}

/// The new file as a family describes it: metadata, and each tensor by its new name.
///
/// A family asks for tensors by the checkpoint's names and says which shape they have; what it asks for and is not
/// there is an error, and so is what is there and was not asked for.
final class Blueprint {
    struct Item {
        let name: String
        /// In GGUF order, the row length first.
        let dimensions: [Int]
        let values: TensorValues
    }

    let config: ModelConfig
    /// `general.architecture`
    let architecture: String
    private(set) var metadata: [(String, GGUFValue)] = []
    private(set) var items: [Item] = []
    /// Tensors of the checkpoint that the family knows and does not need.
    private(set) var leftOut: [String] = []

    private let source: any TensorSource
    private var used: Set<String> = []
    private(set) lazy var names: [String] = source.names

    init(architecture: String, config: ModelConfig, source: any TensorSource) {
        self.architecture = architecture
        self.config = config
        self.source = source
        metadata = [(GGUFFormat.architectureKey, .string(architecture))]
    }

    /// Tensors outside the blocks.
    var outside: TensorScope { TensorScope(blueprint: self, to: "", from: "") }

    /// Those of one block.
    func layer(_ index: Int, from prefix: String = "model.layers.") -> TensorScope {
        TensorScope(blueprint: self, to: "blk.\(index).", from: "\(prefix)\(index).")
    }

    // MARK: Metadata. Keys are given without the architecture.

    func set(_ key: String, _ value: Int) { put(key, .uint32(UInt32(clamping: value))) }
    func set(_ key: String, _ value: Double) { put(key, .float32(Float(value))) }
    func set(_ key: String, _ value: Bool) { put(key, .bool(value)) }
    func set(_ key: String, _ value: String) { put(key, .string(value)) }
    func set(_ key: String, _ values: [Bool]) { put(key, .array(GGUFArray(values))) }

    /// One number where all are the same.
    func set(_ key: String, _ values: [Int]) {
        if let first = values.first, values.allSatisfy({ $0 == first }) { return set(key, first) }
        put(key, .array(GGUFArray(values.map { Int32(clamping: $0) })))
    }

    func set(_ key: String, _ values: [Double]) { put(key, .array(GGUFArray(values.map { Float($0) }))) }

    /// Always a list.
    func setList(_ key: String, _ values: [Int]) {
        put(key, .array(GGUFArray(values.map { Int32(clamping: $0) })))
    }

    private func put(_ key: String, _ value: GGUFValue) { metadata.append(("\(architecture).\(key)", value)) }

    // MARK: Tensors

    func has(_ name: String) -> Bool { source.values(name) != nil }
    var isAdapter: Bool { source.isAdapter }
    func isPacked(_ name: String) -> Bool { source.values(name)?.isPacked ?? false }

    /// Takes a matrix of the checkpoint; nil where it may be missing and is.
    /// - Throws: `ConvertError.missingTensor`, `.tensorShape`.
    func take(_ name: String, rows: Int, columns: Int, optional: Bool = false) throws(ConvertError) -> TensorValues? {
        guard let values = source.values(name) else {
            if optional || isAdapter { return nil }
            throw .missingTensor(name: name, expected: [rows, columns])
        }
        if case .stored(let tensor) = values, tensor.type == .i8 {
            // DeepSeek-V4's experts are published so: two four-bit numbers in a byte.
            throw .tensorType(name: name, found: "I8", expected: "floats, or MXFP4 in the form of gpt-oss")
        }
        guard values.rows == rows, values.columns == columns || isAdapter else {
            throw .tensorShape(name: name, found: shape(values), expected: [rows, columns])
        }
        used.insert(name)
        return values
    }

    /// As `take(_:rows:columns:optional:)` for `count` values of whatever shape, as one row.
    func takeVector(_ name: String, _ count: Int, optional: Bool = false) throws(ConvertError) -> TensorValues? {
        guard let values = source.values(name) else {
            if optional || isAdapter { return nil }
            throw .missingTensor(name: name, expected: [count])
        }
        guard values.rows * values.columns == count else {
            throw .tensorShape(name: name, found: shape(values), expected: [count])
        }
        used.insert(name)
        return values.columns == count ? values : .folded(values, columns: count)
    }

    /// The length of a table that only the checkpoint knows.
    func rowCount(_ name: String, columns: Int?) throws(ConvertError) -> Int {
        guard let values = source.values(name) else {
            throw .missingTensor(name: name, expected: columns.map { [$0] } ?? [])
        }
        guard columns == nil || values.columns == columns else {
            throw .tensorShape(name: name, found: shape(values), expected: [values.rows, columns ?? 0])
        }
        return values.rows
    }

    func add(_ name: String, _ dimensions: [Int], _ values: TensorValues) {
        items.append(Item(name: name, dimensions: dimensions, values: values))
    }

    /// Tensors that the new file has no use for.
    func ignore(where matches: (String) -> Bool) {
        for name in names where !used.contains(name) && matches(name) {
            used.insert(name)
            leftOut.append(name)
        }
    }

    /// - Throws: `ConvertError.unexpectedTensors`.
    func finish() throws(ConvertError) {
        // Frequencies that old checkpoints carry and everyone computes.
        ignore { $0.hasSuffix("rotary_emb.inv_freq") || $0.hasSuffix(".attn.masked_bias") }
        let unexpected = names.filter { !used.contains($0) }
        guard unexpected.isEmpty else { throw .unexpectedTensors(unexpected) }
    }

    private func shape(_ values: TensorValues) -> [Int] {
        switch values {
        case .stored(let tensor): tensor.shape
        case .packed(let tensor): tensor.shape
        default: [values.rows, values.columns]
        }
    }
}

/// The tensors under one prefix, in both namings. Names of weights are given without `.weight`.
struct TensorScope {
    let blueprint: Blueprint
    /// In the new file.
    let to: String
    /// In the checkpoint.
    let from: String

    func has(_ name: String) -> Bool { blueprint.has(from + name) }

    /// A product: `in` values to `out`, with its bias where the checkpoint has one.
    /// - Parameter order: where each row of the result comes from.
    func matrix(
        _ name: String, _ source: String, in columns: Int, out rows: Int, order: RowOrder? = nil,
        columnOrder: RowOrder? = nil, optional: Bool = false
    ) throws(ConvertError) {
        guard
            var values = try blueprint.take(
                "\(from)\(source).weight", rows: order?.sourceCount ?? rows, columns: columns, optional: optional)
        else { return }
        if let order { values = .rows(values, count: rows, source: order.source) }
        if let columnOrder { values = .columns(values, source: (0..<columns).map(columnOrder.source)) }
        blueprint.add("\(to)\(name).weight", [columns, rows], values)
        try bias(name, source, rows, order: order)
    }

    private func bias(_ name: String, _ source: String, _ count: Int, order: RowOrder?) throws(ConvertError) {
        guard
            var values = try blueprint.takeVector(
                "\(from)\(source).bias", order?.sourceCount ?? count, optional: true)
        else { return }
        if let order { values = .columns(values, source: (0..<count).map(order.source)) }
        blueprint.add("\(to)\(name).bias", [count], values)
    }

    /// A norm's weight, and bias where there is one.
    func norm(
        _ name: String, _ source: String, _ count: Int, plusOne: Bool = false, optional: Bool = false
    ) throws(ConvertError) {
        guard let values = try blueprint.takeVector("\(from)\(source).weight", count, optional: optional) else {
            return
        }
        blueprint.add("\(to)\(name).weight", [count], plusOne ? .changed(values, .plusOne) : values)
        try bias(name, source, count, order: nil)
    }

    /// A vector whose names, both full, have their own endings.
    /// - Parameter dimensions: its shape in the new file; `[count]` by default.
    func vector(
        _ name: String, _ source: String, _ count: Int, dimensions: [Int]? = nil, change: TensorValues.Change? = nil,
        order: RowOrder? = nil, optional: Bool = false
    ) throws(ConvertError) {
        guard var values = try blueprint.takeVector(from + source, count, optional: optional) else { return }
        if let order { values = .columns(values, source: (0..<count).map(order.source)) }
        if let change { values = .changed(values, change) }
        let dimensions = dimensions ?? [count]
        if dimensions[0] != count { values = .folded(values, columns: dimensions[0]) }
        blueprint.add(to + name, dimensions, values)
    }

    /// A depthwise convolution: [channels, 1, taps] in the checkpoint.
    func convolution(
        _ name: String, _ source: String, taps: Int, channels: Int, order: RowOrder? = nil, dimensions: [Int]? = nil
    ) throws(ConvertError) {
        guard var values = try blueprint.take("\(from)\(source).weight", rows: channels, columns: taps) else { return }
        if let order { values = .rows(values, count: channels, source: order.source) }
        blueprint.add("\(to)\(name).weight", dimensions ?? [taps, channels], values)
        try bias(name, source, channels, order: order)
    }
}

/// Where each row of a result comes from.
struct RowOrder: Sendable {
    /// Rows of the source where they are more than those of the result.
    var sourceCount: Int?
    let source: @Sendable (Int) -> Int

    init(sourceCount: Int? = nil, _ source: @escaping @Sendable (Int) -> Int) {
        self.sourceCount = sourceCount
        self.source = source
    }

    /// Rows `offset…` of a larger matrix.
    static func part(of count: Int, from offset: Int) -> RowOrder { RowOrder(sourceCount: count) { $0 + offset } }

    /// Heads whose halves rotate against each other become heads whose neighbouring values do (llama.cpp's converter,
    /// `permute`).
    static func interleaved(headDim: Int) -> RowOrder {
        let half = headDim / 2
        return RowOrder { row in
            let (head, place) = (row / headDim, row % headDim)
            return head * headDim + place % 2 * half + place / 2
        }
    }
}

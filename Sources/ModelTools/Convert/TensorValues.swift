/// What goes into a tensor of the new file: a tensor of the checkpoint, or several, with changes of order and value.
///
/// Everything is a matrix here: `rows` of `columns` contiguous values, further dimensions folded into the rows.
indirect enum TensorValues: Sendable {
    case stored(StoredTensor)
    /// Four-bit blocks that stay what they are.
    case packed(PackedTensor)
    case constant([Float])
    /// Row r is row `source(r)` of the values.
    case rows(TensorValues, count: Int, source: @Sendable (Int) -> Int)
    /// Column c is column `source[c]`.
    case columns(TensorValues, source: [Int])
    case changed(TensorValues, Change)
    /// One below the other.
    case stacked([TensorValues])
    /// Each of `groups` equal parts of the rows as a matrix, mirrored at its diagonal.
    case transposed(TensorValues, groups: Int, Cache)
    /// The same values in the same order, with another row length.
    case folded(TensorValues, columns: Int)

    /// What happens to single values.
    enum Change: Sendable {
        /// Norms that are stored as their difference from 1.
        case plusOne
        /// Decay factors that are stored as logarithms of their negatives.
        case negativeExponential
    }

    /// The part of a transposed matrix that was made last; rows are asked for in order.
    final class Cache: @unchecked Sendable {
        fileprivate var group: (index: Int, values: [Float])?
    }

    var columns: Int {
        switch self {
        case .stored(let tensor): tensor.columns
        case .packed(let tensor): tensor.columns
        case .constant(let values): values.count
        case .rows(let values, _, _), .changed(let values, _): values.columns
        case .columns(_, let source): source.count
        case .stacked(let parts): parts.first?.columns ?? 0
        case .transposed(let values, let groups, _): values.rows / groups
        case .folded(_, let columns): columns
        }
    }

    var rows: Int {
        switch self {
        case .stored(let tensor): tensor.rows
        case .packed(let tensor): tensor.rows
        case .constant: 1
        case .rows(_, let count, _): count
        case .columns(let values, _), .changed(let values, _): values.rows
        case .stacked(let parts): parts.reduce(0) { $0 + $1.rows }
        case .transposed(let values, let groups, _): values.columns * groups
        case .folded(let values, let columns): values.rows * values.columns / max(1, columns)
        }
    }

    /// True for values that are four-bit blocks through and through, which are copied and not computed.
    var isPacked: Bool {
        switch self {
        case .packed: true
        case .rows(let values, _, _): values.isPacked
        case .stacked(let parts): parts.allSatisfy(\.isPacked)
        default: false
        }
    }

    /// True for a table of whole numbers, which stay such.
    var isInteger: Bool {
        if case .stored(let tensor) = self { tensor.type == .i64 || tensor.type == .i32 } else { false }
    }

    // MARK: Reading

    /// Reads rows of whole numbers; only where `isInteger`.
    func readIntegers(_ range: Range<Int>, into target: UnsafeMutablePointer<Int32>) throws(ConvertError) {
        if case .stored(let tensor) = self { try tensor.readIntegers(range, into: target) }
    }

    /// Reads rows as floats.
    /// - Parameter target: room for as many rows.
    func read(_ range: Range<Int>, into target: UnsafeMutablePointer<Float>) throws(ConvertError) {
        let width = columns
        switch self {
        case .stored(let tensor): try tensor.read(range, into: target)
        case .packed(let tensor):
            throw .tensorType(name: tensor.name, found: "MXFP4 blocks", expected: "numbers that can be changed")
        case .constant(let values): for (index, value) in values.enumerated() { target[index] = value }
        case .rows(let values, _, let source):
            try Self.runs(range, source) { part, first throws(ConvertError) in
                try values.read(part, into: target + first * width)
            }
        case .columns(let values, let source):
            let row = UnsafeMutablePointer<Float>.allocate(capacity: max(1, values.columns))
            defer { row.deallocate() }
            for index in range {
                try values.read(index..<index + 1, into: row)
                let out = target + (index - range.lowerBound) * width
                for column in 0..<width { out[column] = row[source[column]] }
            }
        case .changed(let values, let change):
            try values.read(range, into: target)
            for index in 0..<range.count * width { target[index] = change(target[index]) }
        case .stacked(let parts):
            try Self.split(range, parts) { part, rows, first throws(ConvertError) in
                try part.read(rows, into: target + first * width)
            }
        case .transposed(let values, let groups, let cache):
            try Self.readTransposed(values, groups, cache, range, into: target)
        case .folded(let values, let columns):
            // Whole rows of the source, then the part that is wanted.
            let (from, to) = (range.lowerBound * columns, range.upperBound * columns)
            let (first, end) = (from / values.columns, (to + values.columns - 1) / values.columns)
            var whole = [Float](repeating: 0, count: (end - first) * values.columns)
            try whole.fillFloats { buffer throws(ConvertError) in try values.read(first..<end, into: buffer) }
            for index in from..<to { target[index - from] = whole[index - first * values.columns] }
        }
    }

    /// Reads rows of four-bit blocks; only where `isPacked`.
    func readPacked(_ range: Range<Int>, into target: UnsafeMutableRawPointer) throws(ConvertError) {
        let bytes = columns / 32 * 17
        switch self {
        case .packed(let tensor): try tensor.read(range, into: target)
        case .rows(let values, _, let source):
            try Self.runs(range, source) { part, first throws(ConvertError) in
                try values.readPacked(part, into: target + first * bytes)
            }
        case .stacked(let parts):
            try Self.split(range, parts) { part, rows, first throws(ConvertError) in
                try part.readPacked(rows, into: target + first * bytes)
            }
        default: break
        }
    }

    /// Frees what reading has kept.
    func forget() {
        switch self {
        case .stored, .packed, .constant: break
        case .rows(let values, _, _), .columns(let values, _), .changed(let values, _), .folded(let values, _):
            values.forget()
        case .stacked(let parts): for part in parts { part.forget() }
        case .transposed(let values, _, let cache):
            cache.group = nil
            values.forget()
        }
    }

    private static func readTransposed(
        _ values: TensorValues, _ groups: Int, _ cache: Cache, _ range: Range<Int>,
        into target: UnsafeMutablePointer<Float>
    ) throws(ConvertError) {
        let (height, width) = (values.rows / groups, values.columns)
        for row in range {
            let group = row / width
            if cache.group?.index != group {
                cache.group = nil
                var part = [Float](repeating: 0, count: height * width)
                try part.fillFloats { buffer throws(ConvertError) in
                    try values.read(group * height..<(group + 1) * height, into: buffer)
                }
                cache.group = (group, part)
            }
            guard let part = cache.group?.values else { return }
            let out = target + (row - range.lowerBound) * height
            for index in 0..<height { out[index] = part[index * width + row % width] }
        }
    }

    /// Calls `body` with runs of rows that follow one another in the source, and where they begin in the result.
    private static func runs(
        _ range: Range<Int>, _ source: (Int) -> Int, _ body: (Range<Int>, Int) throws(ConvertError) -> Void
    ) throws(ConvertError) {
        var start = range.lowerBound
        while start < range.upperBound {
            let first = source(start)
            var end = start + 1
            while end < range.upperBound, source(end) == first + end - start { end += 1 }
            try body(first..<first + end - start, start - range.lowerBound)
            start = end
        }
    }

    /// Calls `body` with each part that the range touches, the rows within it, and where they begin in the result.
    private static func split(
        _ range: Range<Int>, _ parts: [TensorValues],
        _ body: (TensorValues, Range<Int>, Int) throws(ConvertError) -> Void
    ) throws(ConvertError) {
        var offset = 0
        for part in parts {
            let rows = range.clamped(to: offset..<offset + part.rows)
            if !rows.isEmpty {
                try body(part, rows.lowerBound - offset..<rows.upperBound - offset, rows.lowerBound - range.lowerBound)
            }
            offset += part.rows
        }
    }
}

extension TensorValues.Change {
    fileprivate func callAsFunction(_ value: Float) -> Float {
        switch self {
        case .plusOne: 1 + value
        case .negativeExponential: -exponential(value)
        }
    }
}

extension [Float] {
    /// Lets `body` write all values.
    fileprivate mutating func fillFloats(
        _ body: (UnsafeMutablePointer<Float>) throws(ConvertError) -> Void
    ) throws(ConvertError) {
        let outcome = withUnsafeMutableBufferPointer { buffer in
            Result<Void, ConvertError> { () throws(ConvertError) in
                if let start = buffer.baseAddress { try body(start) }
            }
        }
        try outcome.get()
    }
}

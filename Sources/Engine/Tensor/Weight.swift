/// A quantized or float weight matrix as it lies in the file: `rows` output rows of `cols` inputs, or a stack of
/// `experts` such matrices. y[r] = Σ_c W[r][c] · x[c].
///
/// The bytes belong to the mapped ``GGUFFile``, which the model keeps alive.
package struct Weight: @unchecked Sendable {
    package let name: String
    package let format: QuantFormat
    package let bytes: UnsafeRawPointer
    package let rows: Int
    package let cols: Int
    /// 1 for a plain matrix.
    package let experts: Int
    package let rowBytes: Int
    /// Bytes from one expert to the next.
    package let expertBytes: Int
    /// What products are multiplied with beside the weights themselves; nil where there is nothing.
    package let factors: Factors?

    /// One float for all experts, or one for each. The memory is a vector of the ``WeightMap``.
    package struct Factors: @unchecked Sendable {
        fileprivate let pointer: UnsafePointer<Float>
        fileprivate let perExpert: Bool

        package init(_ vector: FloatVector) {
            pointer = vector.pointer
            perExpert = vector.count > 1
        }

        package subscript(_ expert: Int) -> Float { pointer[perExpert ? expert : 0] }

        fileprivate func expert(_ index: Int) -> Factors {
            Factors(FloatVector(pointer + (perExpert ? index : 0), count: 1))
        }
    }

    /// The caller has checked that `cols` is a whole number of blocks and that all bytes are there.
    package init(
        name: String, format: QuantFormat, bytes: UnsafeRawPointer, rows: Int, cols: Int, experts: Int = 1,
        expertBytes: Int? = nil, factors: Factors? = nil
    ) {
        self.name = name
        self.format = format
        self.bytes = bytes
        self.rows = rows
        self.cols = cols
        self.experts = experts
        rowBytes = cols / format.block * format.blockBytes
        self.expertBytes = expertBytes ?? rowBytes * rows
        self.factors = factors
    }

    /// Bytes of all rows.
    package var byteCount: Int { rowBytes * rows * experts }

    /// One matrix of the stack.
    package func expert(_ index: Int) -> Weight {
        Weight(
            name: name, format: format, bytes: bytes + index * expertBytes, rows: rows, cols: cols, experts: 1,
            factors: factors?.expert(index))
    }

    @inline(__always)
    package func row(_ index: Int) -> UnsafeRawPointer { bytes + index * rowBytes }

    /// The rows of `range` (of every expert) as a weight of their own, for files that hold several projections in
    /// one tensor.
    package func rows(_ range: Range<Int>) -> Weight {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows)
        return Weight(
            name: name, format: format, bytes: row(range.lowerBound), rows: range.count, cols: cols, experts: experts,
            expertBytes: expertBytes, factors: factors)
    }
}

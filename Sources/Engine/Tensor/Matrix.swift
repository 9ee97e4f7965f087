/// A view of float rows, one row per token: element (r, c) is `pointer[r * stride + c]`.
///
/// The bytes belong to a ``Workspace`` (or to a test's own buffer); the view does not keep them alive.
package struct Matrix: @unchecked Sendable {
    package let pointer: UnsafeMutablePointer<Float>
    package let rows: Int
    package let cols: Int
    /// Floats from one row to the next, at least `cols`.
    package let stride: Int

    package init(_ pointer: UnsafeMutablePointer<Float>, rows: Int, cols: Int, stride: Int? = nil) {
        self.pointer = pointer
        self.rows = rows
        self.cols = cols
        self.stride = stride ?? cols
    }

    @inline(__always)
    package func row(_ index: Int) -> UnsafeMutablePointer<Float> { pointer + index * stride }

    /// The rows of `range`, all columns.
    package func rows(_ range: Range<Int>) -> Matrix {
        Matrix(row(range.lowerBound), rows: range.count, cols: cols, stride: stride)
    }

    /// The columns of `range`, all rows.
    package func columns(_ range: Range<Int>) -> Matrix {
        Matrix(pointer + range.lowerBound, rows: rows, cols: range.count, stride: stride)
    }

    /// The columns seen as `count` heads of `dim` values; head h starts at column `offset + h * stride`.
    package func heads(_ count: Int, dim: Int, offset: Int = 0, stride headStride: Int? = nil) -> Heads {
        Heads(
            pointer + offset, rows: rows, count: count, dim: dim, headStride: headStride ?? dim, rowStride: stride)
    }
}

/// A view of the heads inside the rows of a ``Matrix``: element (r, h, i) is
/// `pointer[r * rowStride + h * headStride + i]`.
package struct Heads: @unchecked Sendable {
    package let pointer: UnsafeMutablePointer<Float>
    package let rows: Int
    package let count: Int
    package let dim: Int
    package let headStride: Int
    package let rowStride: Int

    package init(
        _ pointer: UnsafeMutablePointer<Float>, rows: Int, count: Int, dim: Int, headStride: Int, rowStride: Int
    ) {
        self.pointer = pointer
        self.rows = rows
        self.count = count
        self.dim = dim
        self.headStride = headStride
        self.rowStride = rowStride
    }

    @inline(__always)
    package func at(_ row: Int, _ head: Int) -> UnsafeMutablePointer<Float> {
        pointer + row * rowStride + head * headStride
    }
}

import CKernels

extension Compute {
    /// out[r] = row ids[r] of the table. ids: out.rows token ids, all within `table.rows`. out (tokens, table.cols).
    package func embed(_ ids: UnsafePointer<Int32>, _ table: Weight, into out: Matrix) {
        precondition(out.cols == table.cols)
        let job = (ids, table.format.kernel, table.bytes, table.rowBytes, table.rows, out)
        pool.run(out.rows, grain: Self.grain(4 * out.cols), job) { job, rows, _ in
            let (ids, format, bytes, rowBytes, count, out) = job
            for row in rows {
                let id = Int(ids[row])
                precondition(id >= 0 && id < count)
                ck_dequantize(format, bytes + id * rowBytes, out.cols, out.row(row))
            }
        }
    }
}

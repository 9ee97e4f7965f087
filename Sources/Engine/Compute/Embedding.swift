import CKernels

extension Compute {
    /// out[r] = row ids[r] of the table. ids: out.rows token ids, all within `table.rows`. out (tokens, table.cols).
    package func embed(_ ids: UnsafePointer<Int32>, _ table: Weight, into out: Matrix) {
        precondition(out.cols == table.cols)
        let job = (ids, table, out)
        pool.run(out.rows, grain: Self.grain(4 * out.cols), job) { job, rows, _ in
            let (ids, table, out) = job
            for row in rows {
                let id = Int(ids[row])
                precondition(id >= 0 && id < table.rows)
                ck_dequantize(table.format.kernel, table.row(id), out.cols, out.row(row))
                if let factors = table.factors { ck_scale(out.row(row), out.row(row), factors[0], out.cols) }
            }
        }
    }
}

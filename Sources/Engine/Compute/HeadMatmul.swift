import CKernels

extension Compute {
    /// out[t][h] = W_h · x[t][h]: one small matrix per head, stacked like experts. x (tokens, heads, weight.cols),
    /// out (tokens, heads, weight.rows).
    package func headMatmul(_ weight: Weight, _ x: Heads, _ workspace: Workspace, into out: Heads) {
        precondition(weight.experts == x.count && out.count == x.count && x.rows == out.rows)
        precondition(weight.cols == x.dim && weight.rows == out.dim)
        if let observer {
            for head in 0..<x.count {
                let rows = Matrix(x.at(0, head), rows: x.rows, cols: x.dim, stride: x.rowStride)
                observer.multiply([weight], member: head, ObservedRows(rows))
            }
        }
        workspace.scoped {
            let kind = weight.format.activation
            let stride = (ck_act_row_bytes(kind, x.dim) + 63) & ~63
            // Head by head, so that a head's tokens adjoin.
            let prepared = workspace.bytes(stride * x.rows * x.count)
            pool.run(x.rows, grain: Self.grain(2 * x.count * x.dim), (x, kind, prepared, stride)) { job, rows, _ in
                let (x, kind, prepared, stride) = job
                for row in rows {
                    for head in 0..<x.count {
                        ck_quantize(kind, x.at(row, head), x.dim, prepared + (head * x.rows + row) * stride)
                    }
                }
            }
            // Whole panels of 32 rows; a head's matrix is small, and there are many.
            let chunk = min(weight.rows, 128)
            let chunks = (weight.rows + chunk - 1) / chunk
            let job = (weight, x.rows, prepared, stride, out, chunk, chunks)
            let scratch = ck_matmul_scratch_bytes(weight.format.kernel, weight.cols)
            pool.run(x.count * chunks, scratch: scratch, job) { job, units, worker in
                let (weight, tokens, prepared, stride, out, chunk, chunks) = job
                for unit in units {
                    let head = unit / chunks
                    let row = unit % chunks * chunk
                    ck_matmul(
                        weight.format.kernel, weight.bytes + head * weight.expertBytes + row * weight.rowBytes,
                        min(chunk, weight.rows - row), weight.cols, prepared + head * tokens * stride, stride, nil,
                        tokens, out.at(0, head) + row, out.rowStride, worker.scratch)
                    guard let factor = weight.factors?[head] else { continue }
                    for token in 0..<tokens {
                        let values = out.at(token, head) + row
                        ck_scale(values, values, factor, min(chunk, weight.rows - row))
                    }
                }
            }
        }
    }
}

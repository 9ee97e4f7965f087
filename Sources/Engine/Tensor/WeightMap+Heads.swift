import CKernels
import GGUF

extension LayerWeights {
    /// A stack of one matrix per head, all of which serve every token.
    package func heads(_ name: String, in cols: Int, out rows: Int, count: Int) throws(EngineError) -> Weight {
        try map.heads("\(prefix)\(name).weight", in: cols, out: rows, count: count)
    }
}

extension WeightMap {
    /// Of every head's `period` rows of `weight` the first `rows`, transposed: per head (rows → weight.cols), as floats
    /// in memory of our own.
    package func transposed(_ weight: Weight, rows: Int, of period: Int, heads: Int) throws(EngineError) -> Weight {
        guard let float = QuantFormat.find(.f32) else {
            throw .unsupportedTensorType(tensor: weight.name, type: weight.format.name)
        }
        let columns = weight.cols
        let buffer = FloatBuffer(count: heads * rows * columns)
        own(buffer)
        let row = FloatBuffer(count: columns)
        for head in 0..<heads {
            for index in 0..<rows {
                ck_dequantize(weight.format.kernel, weight.row(head * period + index), columns, row.pointer)
                if let factors = weight.factors { ck_scale(row.pointer, row.pointer, factors[0], columns) }
                for column in 0..<columns {
                    buffer.pointer[(head * columns + column) * rows + index] = row.pointer[column]
                }
            }
        }
        return Weight(
            name: weight.name, format: float, bytes: UnsafeRawPointer(buffer.pointer), rows: columns, cols: rows,
            experts: heads)
    }
}

extension LayerWeights {
    /// A table of experts by token id, checked.
    package func expertTable(_ name: String, perToken: Int, experts: Int) throws(EngineError) -> ExpertTable {
        let tokens = try map.rowCount(
            "token_embd.weight", cols: map.file.tensor("token_embd.weight")?.dimensions[0] ?? 0)
        let ids = try map.integers("\(prefix)\(name).weight", cols: perToken, rows: tokens)
        for start in stride(from: 0, to: ids.count, by: perToken) {
            let row = ids[start..<start + perToken]
            guard row.allSatisfy({ $0 >= 0 && Int($0) < experts }), Set(row).count == perToken else {
                throw .hyperparameter(
                    key: "\(prefix)\(name)[\(start / perToken)]", found: "\([Int32](row))",
                    expected: "different experts below \(experts)")
            }
        }
        return ExpertTable(ids, perToken: perToken)
    }
}

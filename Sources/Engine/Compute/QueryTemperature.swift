import CKernels

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Queries that grow with their positions: the factor 1 + strength · ln(1 + ⌊position / length⌋), which keeps attention
/// over long texts as sharp as over short ones (Llama 4, Ministral 3).
package struct QueryTemperature: Sendable {
    package let strength: Float
    /// Positions over which the factor stays the same.
    package let length: Int

    package init(strength: Float, length: Int) {
        precondition(length > 0)
        self.strength = strength
        self.length = length
    }

    func factor(at position: Int) -> Float {
        1 + strength * Float(log(Double(1 + position / length)))
    }
}

extension Compute {
    /// x *= the factor of each row's position, all heads.
    package func scale(_ x: Heads, by temperature: QueryTemperature, positions: UnsafePointer<Int32>) {
        pool.run(x.rows, grain: Self.grain(x.count * x.dim), (x, temperature, positions)) { job, rows, _ in
            let (x, temperature, positions) = job
            for row in rows {
                let factor = temperature.factor(at: Int(positions[row]))
                guard factor != 1 else { continue }
                for head in 0..<x.count { ck_scale(x.at(row, head), x.at(row, head), factor, x.dim) }
            }
        }
    }
}

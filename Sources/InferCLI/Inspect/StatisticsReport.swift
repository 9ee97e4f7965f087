import GGUF
import ModelTools

/// What `infer inspect --stats` shows; its JSON form is this structure.
struct StatisticsReport: Encodable {
    struct Tensor: Encodable {
        let name: String
        let type: String
        let dimensions: [Int]
        /// Nil for a type that the engine cannot read.
        var values: Values?
    }

    /// Range, mean and spread are those of the finite values, and absent where there is none.
    struct Values: Encodable {
        let minimum: Double?
        let maximum: Double?
        let mean: Double?
        let standardDeviation: Double?
        let zeros: Int
        /// Further than `outlierDeviations` standard deviations from the mean.
        let outliers: Int
        let nans: Int
        let infinities: Int

        init(_ statistics: TensorStatistics) {
            let moments = statistics.moments
            let hasValues = moments.count > 0
            minimum = hasValues ? moments.minimum : nil
            maximum = hasValues ? moments.maximum : nil
            mean = hasValues ? moments.mean : nil
            standardDeviation = hasValues ? moments.deviation : nil
            zeros = moments.zeros
            outliers = statistics.outliers
            nans = moments.nans
            infinities = moments.infinities
        }
    }

    let path: String
    let outlierDeviations = TensorScanner.outlierDeviations
    private(set) var tensors: [Tensor] = []

    /// - Parameter progress: called with the bytes read so far and all there are.
    init(_ file: GGUFFile, tensors chosen: [GGUFTensor], threads: Int, progress: (Int, Int) -> Void) {
        path = file.path
        let scanner = TensorScanner(threads: threads)
        let total = chosen.reduce(0) { $0 + $1.byteCount }
        var done = 0
        for tensor in chosen {
            progress(done, total)
            tensors.append(
                Tensor(
                    name: tensor.name, type: tensor.type.name, dimensions: tensor.dimensions,
                    values: scanner.statistics(of: tensor).map { Values($0) }))
            done += tensor.byteCount
        }
    }

    var text: String {
        var rows = [["tensor", "type", "shape", "min", "max", "mean", "deviation", "zeros", "outliers", "NaN", "inf"]]
        for tensor in tensors {
            let start = [tensor.name.printable(), tensor.type, TextTable.shape(tensor.dimensions)]
            guard let values = tensor.values else {
                rows.append(start + ["(cannot be read)"])
                continue
            }
            let numbers = [values.minimum, values.maximum, values.mean, values.standardDeviation]
            let counts = [values.zeros, values.outliers, values.nans, values.infinities]
            rows.append(
                start + numbers.map { $0.map(TextTable.number) ?? "–" } + counts.map { $0 == 0 ? "·" : "\($0)" })
        }
        let spoilt = tensors.count { ($0.values?.nans ?? 0) + ($0.values?.infinities ?? 0) > 0 }
        let unread = tensors.count { $0.values == nil }
        var lines = TextTable.lines(rows)
        lines.append("\(tensors.count) tensors, \(spoilt) with NaN or infinite values, \(unread) cannot be read")
        lines.append("Outliers are more than \(TextTable.number(outlierDeviations)) standard deviations from the mean.")
        return lines.joined(separator: "\n")
    }
}

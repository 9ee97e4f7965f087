import GGUF

extension FileSummary {
    /// The summary as people read it: a few facts, the metadata, the tensors; totals and memory last, where the eye
    /// ends up.
    func text(full: Bool) -> String {
        var lines = [
            "File           \(path.printable())",
            "Format         GGUF version \(version), \(byteText(fileSize))",
            "Architecture   \(architecture?.printable(limit: 60) ?? "(not named)")",
        ]
        lines += ["", "Metadata (\(metadata.count))"]
        lines += table(
            metadata.map { entry in
                let type = entry.count.map { "\(entry.type) (\(grouped($0)))" } ?? entry.type
                let cut = entry.count.map { $0 > entry.value.elementCount } ?? false
                let value = entry.value.text(limit: full ? .max : 72) + (cut ? ", …" : "")
                return [entry.key.printable(limit: full ? .max : 72), type, value]
            })
        if !tensors.isEmpty {
            lines += ["", "Tensors (\(tensors.count))"]
            lines += table(
                tensors.map { tensor in
                    [
                        tensor.name.printable(), tensor.type,
                        tensor.dimensions.map { String($0) }.joined(separator: " × "), byteText(tensor.bytes),
                    ]
                })
        }
        lines += ["", "Totals"]
        lines += table(totalRows)
        if let layers {
            lines += ["", "Layers"]
            lines += table(layerRows(layers))
        }
        if let memory {
            lines += ["", "Memory at a context of \(grouped(memory.contextLength)) tokens"]
            lines += table([
                ["weights", byteText(memory.weights)], ["cache and state", byteText(memory.cache)],
                ["scratch", byteText(memory.scratch)], ["total", byteText(memory.total)],
            ])
        }
        if let cannotRun { lines += ["", "Cannot be run: \(cannotRun.printable())"] }
        return lines.joined(separator: "\n")
    }

    private func layerRows(_ layers: Layers) -> [[String]] {
        var rows = layers.kinds.map { [$0.kind, "\($0.layers)"] }
        if layers.nextTokenLayers > 0 { rows.append(["next-token prediction", "\(layers.nextTokenLayers)"]) }
        if let experts = layers.experts {
            rows.append(["experts", "\(experts.count), of which a token visits \(experts.usedPerToken)"])
        }
        if layers.cacheBytesPerToken > 0 { rows.append(["cache per token", byteText(layers.cacheBytesPerToken)]) }
        if layers.windowBytes > 0 { rows.append(["windows", "\(byteText(layers.windowBytes)) at most"]) }
        if layers.recurrentBytes > 0 { rows.append(["recurrent state", byteText(layers.recurrentBytes)]) }
        return rows
    }

    private var totalRows: [[String]] {
        guard totals.tensors > 0 else { return [["weights", "none: this file holds only metadata"]] }
        var rows = [
            ["parameters", "\(countText(totals.parameters)) (\(grouped(totals.parameters)))"],
            ["active per token", "\(countText(totals.activeParameters)) (\(grouped(totals.activeParameters)))"],
            ["weights", "\(byteText(totals.bytes)), \(decimal(totals.bitsPerWeight, places: 2)) bits per weight"],
        ]
        rows += totals.types.map { type in
            [
                "  \(type.type)",
                "\(type.tensors) tensors, \(countText(type.parameters)) parameters, \(byteText(type.bytes))",
            ]
        }
        return rows
    }
}

extension MetadataValue {
    fileprivate var elementCount: Int {
        if case .array(let values) = self { values.count } else { 1 }
    }

    /// On one line; strings in quotation marks when they stand in an array.
    fileprivate func text(limit: Int) -> String {
        switch self {
        case .integer(let number): String(number)
        case .unsigned(let number): String(number)
        case .float(let number): "\(number)"
        case .double(let number): "\(number)"
        case .bool(let flag): String(flag)
        case .string(let text): text.printable(limit: limit)
        case .array(let values):
            values.map { value in
                if case .string(let text) = value { return "\"\(text.printable(limit: min(limit, 24)))\"" }
                if case .array = value { return "[\(value.text(limit: limit))]" }
                return value.text(limit: limit)
            }.joined(separator: ", ")
        }
    }
}

// MARK: Formatting

/// Rows with every column but the last padded to its widest cell.
private func table(_ rows: [[String]]) -> [String] {
    let columns = rows.map { $0.count }.max() ?? 0
    let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
    return rows.map { row in
        let cells = row.enumerated().map { column, cell in
            column + 1 == row.count ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
        }
        return "  " + cells.joined(separator: "  ")
    }
}

/// "1,234,567"
private func grouped(_ number: Int) -> String {
    var digits = String(number.magnitude)
    var groups: [String] = []
    while digits.count > 3 {
        groups.insert(String(digits.suffix(3)), at: 0)
        digits.removeLast(3)
    }
    return (number < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
}

/// "35.1 B", "8.0 M", "812"
private func countText(_ count: Int) -> String {
    for (size, unit) in [(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")] where Double(count) >= size {
        return "\(decimal(Double(count) / size, places: 1)) \(unit)"
    }
    return String(count)
}

/// "19.4 GiB", "512 B"
private func byteText(_ bytes: Int) -> String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] where bytes >= 1 << shift {
        return "\(decimal(Double(bytes) / Double(1 << shift), places: 1)) \(unit)"
    }
    return "\(bytes) B"
}

/// A number that is not negative, with one or two decimal places.
private func decimal(_ value: Double, places: Int) -> String {
    let scale = places == 1 ? 10 : 100
    let scaled = Int((value * Double(scale)).rounded())
    let fraction = String(scaled % scale)
    return "\(scaled / scale)." + String(repeating: "0", count: places - fraction.count) + fraction
}

import GGUF

extension FileSummary {
    /// The summary as people read it: a few facts, the metadata, the tensors; totals and memory last, where the eye
    /// ends up.
    func text(full: Bool) -> String {
        var lines = [
            "File           \(path.printable())",
            "Format         GGUF version \(version), \(TextTable.byteText(fileSize))",
            "Architecture   \(architecture?.printable(limit: 60) ?? "(not named)")",
        ]
        lines += ["", "Metadata (\(metadata.count))"]
        lines += TextTable.lines(
            metadata.map { entry in
                let type = entry.count.map { "\(entry.type) (\(TextTable.grouped($0)))" } ?? entry.type
                let cut = entry.count.map { $0 > entry.value.elementCount } ?? false
                let value = entry.value.text(limit: full ? .max : 72) + (cut ? ", …" : "")
                return [entry.key.printable(limit: full ? .max : 72), type, value]
            })
        if !tensors.isEmpty {
            lines += ["", "Tensors (\(tensors.count))"]
            lines += TextTable.lines(
                tensors.map { tensor in
                    [
                        tensor.name.printable(), tensor.type,
                        tensor.dimensions.map { String($0) }.joined(separator: " × "), TextTable.byteText(tensor.bytes),
                    ]
                })
        }
        lines += ["", "Totals"]
        lines += TextTable.lines(totalRows)
        if let layers {
            lines += ["", "Layers"]
            lines += TextTable.lines(layerRows(layers))
        }
        if let memory {
            lines += ["", "Memory at a context of \(TextTable.grouped(memory.contextLength)) tokens"]
            lines += TextTable.lines([
                ["weights", TextTable.byteText(memory.weights)], ["cache and state", TextTable.byteText(memory.cache)],
                ["scratch", TextTable.byteText(memory.scratch)], ["total", TextTable.byteText(memory.total)],
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
        if layers.cacheBytesPerToken > 0 {
            rows.append(["cache per token", TextTable.byteText(layers.cacheBytesPerToken)])
        }
        if layers.windowBytes > 0 { rows.append(["windows", "\(TextTable.byteText(layers.windowBytes)) at most"]) }
        if layers.recurrentBytes > 0 { rows.append(["recurrent state", TextTable.byteText(layers.recurrentBytes)]) }
        return rows
    }

    private var totalRows: [[String]] {
        guard totals.tensors > 0 else { return [["weights", "none: this file holds only metadata"]] }
        var rows = [
            ["parameters", "\(TextTable.countText(totals.parameters)) (\(TextTable.grouped(totals.parameters)))"],
            [
                "active per token",
                "\(TextTable.countText(totals.activeParameters)) (\(TextTable.grouped(totals.activeParameters)))",
            ],
            [
                "weights",
                "\(TextTable.byteText(totals.bytes)), \(TextTable.decimal(totals.bitsPerWeight, places: 2)) bits per weight",
            ],
        ]
        rows += totals.types.map { type in
            [
                "  \(type.type)",
                "\(type.tensors) tensors, \(TextTable.countText(type.parameters)) parameters, \(TextTable.byteText(type.bytes))",
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
    func text(limit: Int) -> String {
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

/// Where a model is cut into parts. Parts are filled in the order of the tensors.
package struct GGUFSplitRule: Sendable {
    /// Most bytes of tensor data in a part; a tensor larger than that has a part to itself.
    package var maximumBytes = Int.max
    package var maximumTensors = Int.max
    /// The first part has the metadata only, so that they can be replaced without the weights.
    package var firstIsMetadataOnly = false

    package init() {}
}

/// One part of a split file.
package struct GGUFSplitPart: Sendable {
    package let path: String
    package let tensors: Int
    /// Bytes of tensor data.
    package let bytes: Int
}

extension GGUFWriter {
    /// The parts that ``write(splitPrefix:rule:)`` would write.
    /// - Throws: `GGUFError.tooMany` for more parts than the format can count.
    package func parts(splitPrefix prefix: String, rule: GGUFSplitRule) throws(GGUFError) -> [GGUFSplitPart] {
        let groups = try groups(rule)
        return groups.enumerated().map { number, group in
            GGUFSplitPart(
                path: GGUFSplit.path(prefix: prefix, number: number, count: groups.count), tensors: group.count,
                bytes: group.reduce(0) { $0 + $1.byteCount })
        }
    }

    /// Writes a split file: parts `PREFIX-00001-of-0000N.gguf` … The metadata go into the first part.
    ///
    /// The parts get their names when all of them are complete.
    /// - Returns: the parts.
    /// - Throws: as `write(to:)`, and `.tooMany` for more parts than the format can count. Nothing is left behind then.
    @discardableResult
    package func write(splitPrefix prefix: String, rule: GGUFSplitRule) throws -> [GGUFSplitPart] {
        let parts = try parts(splitPrefix: prefix, rule: rule)
        // Parts that a sloppy tool has merged may still carry keys of the split they came from.
        let metadata = metadata.filter { !GGUFSplit.keys.contains($0.0) }
        let alignment = metadata.filter { $0.0 == GGUFFormat.alignmentKey }
        var files: [AtomicFile] = []
        for (number, group) in try groups(rule).enumerated() {
            var part = GGUFWriter(metadata: number == 0 ? metadata : alignment)
            part.tensors = group
            part.metadata += [
                (GGUFSplit.numberKey, .uint16(UInt16(number))), (GGUFSplit.countKey, .uint16(UInt16(parts.count))),
                (GGUFSplit.tensorCountKey, .int32(Int32(clamping: tensors.count))),
            ]
            let file = try AtomicFile(path: parts[number].path)
            try part.emit(file.write)
            try file.finish()
            files.append(file)
        }
        do {
            for file in files { try file.commit() }
        } catch {
            for file in files { file.withdraw() }
            throw error
        }
        return parts
    }

    private func groups(_ rule: GGUFSplitRule) throws(GGUFError) -> [[Entry]] {
        var groups: [[Entry]] = rule.firstIsMetadataOnly && !tensors.isEmpty ? [[], []] : [[]]
        var bytes = 0
        for tensor in tensors {
            if let last = groups.last, !last.isEmpty,
                bytes > rule.maximumBytes - tensor.byteCount || last.count >= rule.maximumTensors
            {
                groups.append([])
                bytes = 0
            }
            groups[groups.count - 1].append(tensor)
            bytes += tensor.byteCount
        }
        guard groups.count <= GGUFLimits.splitParts else {
            throw .tooMany(field: GGUFSplit.countKey, found: UInt64(groups.count), limit: GGUFLimits.splitParts)
        }
        return groups
    }
}

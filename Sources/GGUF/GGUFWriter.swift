/// Makes a GGUF file, version 3.
///
/// Tensor data is either given as bytes or made while writing, so that a file larger than memory can be written.
/// The alignment is the value of `general.alignment` in `metadata`, or 32.
package struct GGUFWriter {
    /// Receives a tensor's data in pieces of any size.
    package typealias Sink = (UnsafeRawBufferPointer) throws -> Void
    /// Gives a tensor's data to the sink, in order, exactly as many bytes as type and dimensions say.
    package typealias Producer = (Sink) throws -> Void

    /// In the order in which they are written.
    package var metadata: [(String, GGUFValue)]
    var tensors: [Entry] = []

    struct Entry {
        let name: String
        let dimensions: [Int]
        let type: GGUFTensorType
        let byteCount: Int
        let produce: Producer
    }

    package init(metadata: [(String, GGUFValue)] = []) { self.metadata = metadata }

    /// Adds a tensor whose data is in memory.
    /// - Parameter dimensions: one to four sizes, the contiguous one first.
    /// - Throws: the errors of `add(tensor:dimensions:type:producer:)` and `.dataSize`.
    package mutating func add(
        tensor name: String, dimensions: [Int], type: GGUFTensorType, data: [UInt8]
    ) throws(GGUFError) {
        let expected = try type.byteCount(ofNewTensor: name, dimensions: dimensions)
        guard data.count == expected else {
            throw .dataSize(tensor: name, found: data.count, expected: expected)
        }
        try add(tensor: name, dimensions: dimensions, type: type) { sink in try data.withUnsafeBytes(sink) }
    }

    /// Adds a tensor of type F32.
    package mutating func add(tensor name: String, dimensions: [Int], floats: [Float]) throws(GGUFError) {
        var data: [UInt8] = []
        data.reserveCapacity(4 * floats.count)
        for value in floats { data.append(littleEndian: value.bitPattern) }
        try add(tensor: name, dimensions: dimensions, type: .f32, data: data)
    }

    /// Adds a tensor whose data is made while the file is written.
    /// - Throws: `.tensorNameLength`, `.dimensionCount`, `.dimension`, `.partialBlock`, `.sizeOverflow`.
    package mutating func add(
        tensor name: String, dimensions: [Int], type: GGUFTensorType, producer: @escaping Producer
    ) throws(GGUFError) {
        guard 1...GGUFLimits.tensorNameBytes ~= name.utf8.count else {
            throw .tensorNameLength(found: UInt64(name.utf8.count), limit: GGUFLimits.tensorNameBytes)
        }
        let byteCount = try type.byteCount(ofNewTensor: name, dimensions: dimensions)
        tensors.append(
            Entry(name: name, dimensions: dimensions, type: type, byteCount: byteCount, produce: producer))
    }

    /// The whole file in memory.
    /// - Throws: `GGUFError` for an invalid description or a producer that gives too much or too little, and whatever
    ///   a producer throws.
    package func serialize() throws -> [UInt8] {
        var file: [UInt8] = []
        try emit { file.append(contentsOf: $0) }
        return file
    }

    /// Writes the file under a temporary name beside `path` and renames it when it is complete: readers see the old
    /// file or the new one, never a part.
    /// - Throws: as `serialize()`, and `.io`. Nothing is left behind then.
    package func write(to path: String) throws {
        let output = try AtomicFile(path: path)
        try emit(output.write)
        try output.commit()
    }

    /// As `write(to:)`, but what a broken run has written stays under `partialPath`, and the next run goes on behind the
    /// last whole tensor there. The caller chooses a name that no other source or setting shares.
    /// - Parameter resumed: called once with the bytes of tensor data that were there already.
    /// - Throws: as `write(to:)`; `.io` with EWOULDBLOCK while another run writes that file.
    package func write(to path: String, partialPath: String, resumed: (Int) -> Void) throws {
        let output = try AtomicFile(path: path, partialPath: partialPath)
        let alignment = try checkedAlignment()
        let head = try self.head(alignment: alignment)
        let existing = try output.existingBytes()
        var end = head.count
        var first = 0
        if existing > head.count, output.begins(with: head) {
            while first < tensors.count {
                let size = tensors[first].byteCount
                let next = end + size + padding(after: size, alignment: alignment).count
                if next > existing { break }
                (end, first) = (next, first + 1)
            }
            try output.truncate(to: end)
        } else {
            try output.truncate(to: 0)
            try head.withUnsafeBytes(output.write)
        }
        resumed(tensors[..<first].reduce(0) { $0 + $1.byteCount })
        try emit(tensors[first...], alignment: alignment, output.write)
        try output.commit()
    }

    // MARK: Layout

    func emit(_ sink: Sink) throws {
        let alignment = try checkedAlignment()
        let head = try self.head(alignment: alignment)
        try head.withUnsafeBytes(sink)
        try emit(tensors[...], alignment: alignment, sink)
    }

    private func emit(_ tensors: ArraySlice<Entry>, alignment: Int, _ sink: Sink) throws {
        for tensor in tensors {
            var written = 0
            try tensor.produce { piece in
                written += piece.count
                guard written <= tensor.byteCount else {
                    throw GGUFError.dataSize(tensor: tensor.name, found: written, expected: tensor.byteCount)
                }
                try sink(piece)
            }
            guard written == tensor.byteCount else {
                throw GGUFError.dataSize(tensor: tensor.name, found: written, expected: tensor.byteCount)
            }
            try padding(after: written, alignment: alignment).withUnsafeBytes(sink)
        }
    }

    /// Everything before the tensor data, padding included.
    private func head(alignment: Int) throws(GGUFError) -> [UInt8] {
        var head = GGUFFormat.magic
        head.append(littleEndian: UInt32(GGUFFormat.writtenVersion))
        head.append(littleEndian: UInt64(tensors.count))
        head.append(littleEndian: UInt64(metadata.count))
        for (key, value) in metadata {
            guard 1...GGUFLimits.keyBytes ~= key.utf8.count else {
                throw .keyLength(found: UInt64(key.utf8.count), limit: GGUFLimits.keyBytes)
            }
            head.append(encoding: key)
            head.append(littleEndian: value.type.rawValue)
            head.append(encoding: value)
        }
        var names = Set<String>()
        var offset = 0
        for tensor in tensors {
            guard names.insert(tensor.name).inserted else { throw .duplicateTensor(tensor.name) }
            head.append(encoding: tensor.name)
            head.append(littleEndian: UInt32(tensor.dimensions.count))
            for size in tensor.dimensions { head.append(littleEndian: UInt64(size)) }
            head.append(littleEndian: tensor.type.rawValue)
            head.append(littleEndian: UInt64(offset))
            guard let next = (offset + tensor.byteCount).rounded(upTo: alignment) else {
                throw .sizeOverflow(tensor: tensor.name, dimensions: tensor.dimensions)
            }
            offset = next
        }
        return head + padding(after: head.count, alignment: alignment)
    }

    private func checkedAlignment() throws(GGUFError) -> Int {
        let alignment = try GGUFMetadata(metadata).int(
            GGUFFormat.alignmentKey, default: GGUFFormat.defaultAlignment)
        guard GGUFLimits.minimumAlignment...GGUFLimits.maximumAlignment ~= alignment, alignment & (alignment - 1) == 0
        else { throw .alignment(found: alignment) }
        return alignment
    }

    private func padding(after length: Int, alignment: Int) -> [UInt8] {
        [UInt8](repeating: 0, count: (alignment - length % alignment) % alignment)
    }
}

extension GGUFTensorType {
    /// As `byteCount(ofTensor:dimensions:)`, for dimensions that no reader has checked.
    fileprivate func byteCount(ofNewTensor name: String, dimensions: [Int]) throws(GGUFError) -> Int {
        guard 1...GGUFLimits.dimensions ~= dimensions.count else {
            throw .dimensionCount(tensor: name, found: dimensions.count, limit: GGUFLimits.dimensions)
        }
        for (index, size) in dimensions.enumerated() where size < 1 {
            throw .dimension(tensor: name, index: index, found: UInt64(truncatingIfNeeded: size))
        }
        return try byteCount(ofTensor: name, dimensions: dimensions)
    }
}

/// A model file, mapped into memory and checked.
///
/// Tensor data is not copied: it lives in the mapping, which exists as long as this object or one of its tensors.
/// A split file is opened by the path of any of its parts.
package final class GGUFFile: Sendable {
    package let path: String
    /// 2 or 3.
    package let version: Int
    package let metadata: GGUFMetadata
    /// In file order, over all parts.
    package let tensors: [GGUFTensor]
    /// Bytes of all parts.
    package let fileSize: Int
    /// All parts of a split file in order, otherwise `path` alone.
    package let partPaths: [String]

    private let indexByName: [String: Int]

    /// Opens, maps and checks a file.
    package convenience init(path: String) throws(GGUFError) {
        let part = try GGUFParser.parse(ByteStorage(mapping: path))
        try self.init(path: path, parts: GGUFSplit.allParts(startingWith: part, path: path))
    }

    /// Reads a file that is already in memory; split files are not followed.
    package convenience init(bytes: [UInt8], name: String = "memory") throws(GGUFError) {
        try self.init(path: name, parts: [GGUFParser.parse(ByteStorage(copying: bytes))])
    }

    /// The first part's metadata describe the model; the other parts only add tensors.
    private init(path: String, parts: [GGUFParser.Part]) throws(GGUFError) {
        self.path = path
        version = parts[0].version
        metadata = parts[0].metadata
        tensors = parts.flatMap { $0.tensors }
        fileSize = parts.reduce(0) { $0 + $1.storage.bytes.count }
        partPaths = GGUFSplit.paths(ofAll: parts.count, from: path)
        var indexByName: [String: Int] = [:]
        indexByName.reserveCapacity(tensors.count)
        for (index, tensor) in tensors.enumerated() {
            guard indexByName.updateValue(index, forKey: tensor.name) == nil else {
                throw .duplicateTensor(tensor.name)
            }
        }
        self.indexByName = indexByName
    }

    package func tensor(_ name: String) -> GGUFTensor? {
        indexByName[name].map { tensors[$0] }
    }
}

/// A tensor's description and its bytes in the mapped file.
///
/// `@unchecked Sendable`: the bytes are never written; `storage` keeps them alive as long as this value exists.
package struct GGUFTensor: @unchecked Sendable {
    package let name: String
    /// One to four sizes in GGUF order: `dimensions[0]` is contiguous in memory. All are at least 1.
    package let dimensions: [Int]
    package let type: GGUFTensorType
    /// The tensor's data, not copied. It starts at a multiple of the file's alignment (at least 8) and is valid as
    /// long as the file or this value exists: keep one of them in a variable, or in an object that outlives the use.
    package let bytes: UnsafeRawBufferPointer
    /// Where the data starts, counted from the beginning of its file (part).
    package let fileOffset: Int

    private let storage: ByteStorage

    init(name: String, dimensions: [Int], type: GGUFTensorType, storage: ByteStorage, range: Range<Int>) {
        self.name = name
        self.dimensions = dimensions
        self.type = type
        self.storage = storage
        self.bytes = UnsafeRawBufferPointer(rebasing: storage.bytes[range])
        self.fileOffset = range.lowerBound
    }

    package var byteCount: Int { bytes.count }
    /// The product of the dimensions; checked against overflow when the file was read.
    package var elementCount: Int { dimensions.reduce(1, *) }
}

package import GGUF

/// A model file's metadata and tensor names, and what is to become of them.
package struct ModelEdit {
    /// One metadata key or tensor name that is not what it was.
    package struct Change {
        package enum Kind: String {
            case set, added, removed, renamed
            case tensorRenamed = "tensor renamed"
        }

        package let kind: Kind
        /// The name before.
        package let name: String
        package var newName: String?
        package var before: GGUFValue?
        package var after: GGUFValue?
    }

    /// In the order of the file, new keys last; what says how the file was split is left out.
    package private(set) var metadata: [(String, GGUFValue)]
    /// New names of tensors, by old.
    package private(set) var tensorNames: [String: String] = [:]
    package private(set) var changes: [Change] = []
    private let file: GGUFFile

    package init(_ file: GGUFFile) {
        self.file = file
        metadata = file.metadata.keys.compactMap { key in
            GGUFSplit.keys.contains(key) ? nil : file.metadata[key].map { (key, $0) }
        }
    }

    /// The value of a key as it stands now.
    package subscript(key: String) -> GGUFValue? { metadata.first { $0.0 == key }?.1 }

    /// Replaces or adds a value.
    /// - Throws: `EditError.reserved`, `.changedTwice`.
    package mutating func set(_ key: String, _ value: GGUFValue) throws(EditError) {
        try check(key)
        if let index = metadata.firstIndex(where: { $0.0 == key }) {
            changes.append(Change(kind: .set, name: key, before: metadata[index].1, after: value))
            metadata[index].1 = value
        } else {
            changes.append(Change(kind: .added, name: key, after: value))
            metadata.append((key, value))
        }
    }

    /// - Throws: `EditError.reserved`, `.changedTwice`, `.noSuchKey`.
    package mutating func remove(_ key: String) throws(EditError) {
        try check(key)
        let index = try position(key)
        changes.append(Change(kind: .removed, name: key, before: metadata[index].1))
        metadata.remove(at: index)
    }

    /// - Throws: `EditError.reserved`, `.changedTwice`, `.noSuchKey`, `.keyExists`.
    package mutating func rename(key: String, to new: String) throws(EditError) {
        try check(key)
        try check(new)
        guard self[new] == nil else { throw .keyExists(new) }
        let index = try position(key)
        changes.append(Change(kind: .renamed, name: key, newName: new, before: metadata[index].1))
        metadata[index].0 = new
    }

    /// - Throws: `EditError.noSuchTensor`, `.tensorExists`.
    package mutating func rename(tensor name: String, to new: String) throws(EditError) {
        guard file.tensor(name) != nil, tensorNames[name] == nil else { throw .noSuchTensor(name) }
        guard file.tensor(new) == nil, !tensorNames.values.contains(new) else { throw .tensorExists(new) }
        changes.append(Change(kind: .tensorRenamed, name: name, newName: new))
        tensorNames[name] = new
    }

    private func check(_ key: String) throws(EditError) {
        guard !GGUFSplit.keys.contains(key) else { throw .reserved(key) }
        guard !changes.contains(where: { $0.kind != .tensorRenamed && ($0.name == key || $0.newName == key) }) else {
            throw .changedTwice(key)
        }
    }

    private func position(_ key: String) throws(EditError) -> Int {
        guard let index = metadata.firstIndex(where: { $0.0 == key }) else { throw .noSuchKey(key) }
        return index
    }
}

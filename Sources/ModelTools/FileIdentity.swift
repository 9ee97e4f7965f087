import Foundation

/// Whether two names lead to one file, through links too.
enum FileIdentity {
    /// False where one of them does not exist.
    static func isSame(_ first: String, _ second: String) -> Bool {
        let files = [first, second].map { path in
            try? FileManager.default.attributesOfItem(atPath: URL(filePath: path).resolvingSymlinksInPath().path)
        }
        guard let a = files[0], let b = files[1] else { return false }
        return a[.systemFileNumber] as? Int == b[.systemFileNumber] as? Int
            && a[.systemNumber] as? Int == b[.systemNumber] as? Int
    }
}

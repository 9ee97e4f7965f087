import ArgumentParser

/// Whole numbers with commas between them, as in `-p 128,512`.
struct NumberList: ExpressibleByArgument, Equatable {
    let numbers: [Int]

    init(_ numbers: [Int]) { self.numbers = numbers }

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        let numbers = parts.compactMap { $0 }
        guard numbers.count == parts.count, numbers.count <= Self.limit else { return nil }
        self.numbers = numbers
    }

    private static let limit = 100

    var defaultValueDescription: String { numbers.map { String($0) }.joined(separator: ",") }
}

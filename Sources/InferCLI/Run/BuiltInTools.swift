import Foundation
import InferKit

/// The tools that come with the command.
enum BuiltInTools {
    static let all: [any Tool] = [Calculator(), Clock()]
}

/// Sums and products.
struct Calculator: Tool {
    struct Arguments: Decodable { var expression: String }

    let name = "calculator"
    let description = "Evaluates an arithmetic expression."
    let parameters = GenerationSchema.object([
        "expression": .string(description: "The expression, for example 2 + 3")
    ])

    func call(arguments: Arguments) -> String {
        do {
            return Arithmetic.text(of: try Arithmetic.value(of: arguments.expression))
        } catch {
            return "Error: \(error)"
        }
    }
}

/// The time of day.
struct Clock: Tool {
    struct Arguments: Decodable {}

    let name = "clock"
    let description = "Tells the local date and time."
    let parameters = GenerationSchema.object([:])

    func call(arguments: Arguments) -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.dateFormat = "EEEE, yyyy-MM-dd HH:mm:ss zzz"
        return formatter.string(from: Date())
    }
}

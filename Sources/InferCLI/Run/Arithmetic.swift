import Foundation

/// The values of expressions such as `2 * (3 + 4)^2`: `+ - * / % ^`, parentheses, decimal numbers.
package enum Arithmetic {
    /// Why an expression has no value.
    package struct Failure: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// - Throws: what is wrong and where.
    package static func value(of expression: String) throws(Failure) -> Double {
        var reader = Reader(Array(expression))
        let value = try reader.sum(depth: 0)
        try reader.expectEnd()
        guard value.isFinite else { throw Failure(description: "the result is not a finite number") }
        return value
    }

    /// Whole numbers without a fraction, others with up to 12 significant digits.
    package static func text(of value: Double) -> String {
        if let whole = Int(exactly: value) { return String(whole) }
        return String(format: "%.12g", value)
    }

    /// Recursive descent, one function per precedence.
    private struct Reader {
        private let characters: [Character]
        private var place = 0

        init(_ characters: [Character]) { self.characters = characters }

        private mutating func skip(_ choices: Character...) -> Character? {
            while place < characters.count, characters[place].isWhitespace { place += 1 }
            guard place < characters.count, choices.contains(characters[place]) else { return nil }
            defer { place += 1 }
            return characters[place]
        }

        mutating func expectEnd() throws(Failure) {
            guard skip() == nil, place == characters.count else {
                throw Failure(description: "did not expect '\(characters[place])' in the expression")
            }
        }

        mutating func sum(depth: Int) throws(Failure) -> Double {
            guard depth < 100 else { throw Failure(description: "too many parentheses") }
            var value = try product(depth: depth)
            while let sign = skip("+", "-", "−") {
                let right = try product(depth: depth)
                value = sign == "+" ? value + right : value - right
            }
            return value
        }

        private mutating func product(depth: Int) throws(Failure) -> Double {
            var value = try signed(depth: depth)
            while let sign = skip("*", "×", "·", "/", "÷", ":", "%") {
                let right = try signed(depth: depth)
                switch sign {
                case "*", "×", "·": value *= right
                default:
                    guard right != 0 else { throw Failure(description: "division by zero") }
                    value = sign == "%" ? value.truncatingRemainder(dividingBy: right) : value / right
                }
            }
            return value
        }

        private mutating func signed(depth: Int) throws(Failure) -> Double {
            var isNegative = false
            while let sign = skip("+", "-", "−") { isNegative = (sign != "+") != isNegative }
            let value = try power(depth: depth)
            return isNegative ? -value : value
        }

        /// Binds to the right: 2^3^2 is 2^9. A run of powers is as deep as parentheses.
        private mutating func power(depth: Int) throws(Failure) -> Double {
            guard depth < 100 else { throw Failure(description: "too many powers") }
            let base = try operand(depth: depth)
            guard skip("^") != nil else { return base }
            return Foundation.pow(base, try signed(depth: depth + 1))
        }

        private mutating func operand(depth: Int) throws(Failure) -> Double {
            if skip("(") != nil {
                let value = try sum(depth: depth + 1)
                guard skip(")") != nil else { throw Failure(description: "a parenthesis is not closed") }
                return value
            }
            let start = place
            while place < characters.count, characters[place].isASCII,
                characters[place].isNumber || characters[place] == "."
            {
                place += 1
            }
            guard let value = Double(String(characters[start..<place])) else {
                let found = start < characters.count ? "'\(characters[start])'" : "the end"
                throw Failure(description: "expected a number, found \(found)")
            }
            return value
        }
    }
}

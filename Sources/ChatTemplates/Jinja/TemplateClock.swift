#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A date and time of day without a time zone, for `strftime_now`.
package struct CivilTime: Sendable, Equatable {
    package var year: Int
    /// 1…12
    package var month: Int
    /// 1…31
    package var day: Int
    package var hour: Int
    package var minute: Int
    package var second: Int

    package init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
    }

    /// Reads `2025-07-04` or `2025-07-04T12:30:45`; nil for anything else.
    package init?(iso text: String) {
        let halves = text.split(separator: "T", maxSplits: 1, omittingEmptySubsequences: false)
        let date = halves[0].split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        guard date.count == 3, let year = date[0], let month = date[1], let day = date[2],
            1...9999 ~= year, 1...12 ~= month, 1...31 ~= day
        else { return nil }
        self.init(year: year, month: month, day: day)
        guard halves.count == 2 else { return }
        let time = halves[1].split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
        guard time.count == 3, let hour = time[0], let minute = time[1], let second = time[2],
            0...23 ~= hour, 0...59 ~= minute, 0...60 ~= second
        else { return nil }
        (self.hour, self.minute, self.second) = (hour, minute, second)
    }

    /// The local time now.
    package static func now() -> CivilTime {
        var seconds = time(nil)
        var fields = tm()
        localtime_r(&seconds, &fields)
        return CivilTime(
            year: Int(fields.tm_year) + 1900, month: Int(fields.tm_mon) + 1, day: Int(fields.tm_mday),
            hour: Int(fields.tm_hour), minute: Int(fields.tm_min), second: Int(fields.tm_sec))
    }

    private var isLeapYear: Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    /// 1…366
    var dayOfYear: Int {
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
        return before[month - 1] + day + (month > 2 && isLeapYear ? 1 : 0)
    }

    /// 0 = Sunday. Counts the days of the Gregorian calendar since the start of year 1, a Monday.
    var dayOfWeek: Int {
        let past = year - 1
        return (past * 365 + past / 4 - past / 100 + past / 400 + dayOfYear) % 7
    }
}

extension CivilTime {
    private static let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ]

    /// C's `strftime` in the C locale, with glibc's `-` flag (no padding). Unknown directives are kept as they are.
    func formatted(_ format: String) -> String {
        var result = ""
        var rest = format.unicodeScalars.makeIterator()
        while let scalar = rest.next() {
            guard scalar == "%" else {
                result.unicodeScalars.append(scalar)
                continue
            }
            var flag = ""
            var directive = rest.next()
            if directive == "-" {
                flag = "-"
                directive = rest.next()
            }
            guard let directive else {
                result += "%" + flag
                break
            }
            if let text = field(directive, padded: flag.isEmpty) {
                result += text
            } else {
                result += "%" + flag
                result.unicodeScalars.append(directive)
            }
        }
        return result
    }

    private func field(_ directive: Unicode.Scalar, padded: Bool) -> String? {
        func number(_ value: Int, _ width: Int, _ fill: String = "0") -> String {
            let digits = String(value)
            return padded ? String(repeating: fill, count: max(0, width - digits.count)) + digits : digits
        }
        let hour12 = (hour + 11) % 12 + 1
        switch directive {
        case "a": return String(Self.days[dayOfWeek].prefix(3))
        case "A": return Self.days[dayOfWeek]
        case "b", "h": return String(Self.months[month - 1].prefix(3))
        case "B": return Self.months[month - 1]
        case "c": return formatted("%a %b %e %H:%M:%S %Y")
        case "C": return number(year / 100, 2)
        case "d": return number(day, 2)
        case "D", "x": return formatted("%m/%d/%y")
        case "e": return number(day, 2, " ")
        case "f": return "000000"
        case "F": return formatted("%Y-%m-%d")
        case "H": return number(hour, 2)
        case "I": return number(hour12, 2)
        case "j": return number(dayOfYear, 3)
        case "k": return number(hour, 2, " ")
        case "l": return number(hour12, 2, " ")
        case "m": return number(month, 2)
        case "M": return number(minute, 2)
        case "n": return "\n"
        case "p": return hour < 12 ? "AM" : "PM"
        case "P": return hour < 12 ? "am" : "pm"
        case "r": return formatted("%I:%M:%S %p")
        case "R": return formatted("%H:%M")
        case "S": return number(second, 2)
        case "t": return "\t"
        case "T", "X": return formatted("%H:%M:%S")
        case "u": return String((dayOfWeek + 6) % 7 + 1)
        case "U": return number((dayOfYear + 6 - dayOfWeek) / 7, 2)
        case "w": return String(dayOfWeek)
        case "W": return number((dayOfYear + 6 - (dayOfWeek + 6) % 7) / 7, 2)
        case "y": return number(year % 100, 2)
        case "Y": return number(year, 4)
        case "z", "Z": return ""
        case "%": return "%"
        default: return nil
        }
    }
}

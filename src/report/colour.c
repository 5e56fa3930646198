/* A heat scale made for the eye: lightness rises evenly in OKLab (a space in which equal distances
 * look equal), hue turns from violet over blue and green to yellow. Since lightness alone carries
 * the value, the scale survives grey printing and colour blindness. */
#include "report/colour.h"

#include <math.h>
#include <stdbool.h>

static uint8_t encode_channel(double linear)
{
    double clipped = fmin(fmax(linear, 0), 1);
    double encoded = clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * pow(clipped, 1 / 2.4) - 0.055;
    return (uint8_t)lround(255 * encoded);
}

/* OKLab to sRGB: two 3 x 3 matrices around a cube. */
static pri_colour from_lightness_chroma_hue(double lightness, double chroma, double hue)
{
    double a = chroma * cos(hue), b = chroma * sin(hue);
    double l = pow(lightness + 0.3963377774 * a + 0.2158037573 * b, 3);
    double m = pow(lightness - 0.1055613458 * a - 0.0638541728 * b, 3);
    double s = pow(lightness - 0.0894841775 * a - 1.2914855480 * b, 3);
    return (pri_colour){
        encode_channel(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
        encode_channel(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
        encode_channel(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s),
        255,
    };
}

pri_colour pri_colour_heat(double share)
{
    const double degree = acos(-1) / 180;
    double t = fmin(fmax(share, 0), 1);
    double lightness = 0.20 + 0.73 * t;
    double hue = (310 - 205 * t) * degree;
    /* sRGB has little room near black and around blue-green: chroma stays inside it. */
    double chroma = 0.085 + 0.10 * t - 0.02 * sin(3.14159265 * t);
    return from_lightness_chroma_hue(lightness, chroma, hue);
}

static int square(int value)
{
    return value * value;
}

static int distance(pri_colour colour, int red, int green, int blue)
{
    return square(colour.red - red) + square(colour.green - green) + square(colour.blue - blue);
}

static int nearest_step(int value)
{
    /* The cube's channel values are 0, 95, 135, 175, 215 and 255. */
    return value < 48 ? 0 : value < 115 ? 1 : (value - 35) / 40;
}

int pri_colour_terminal(pri_colour colour)
{
    static const int steps[] = {0, 95, 135, 175, 215, 255};
    int red = nearest_step(colour.red), green = nearest_step(colour.green);
    int blue = nearest_step(colour.blue);
    int mean = (colour.red + colour.green + colour.blue) / 3;
    int grey = mean < 8 ? 0 : mean > 238 ? 23 : (mean - 3) / 10;
    int level = 8 + 10 * grey;
    bool cube = distance(colour, steps[red], steps[green], steps[blue]) <=
                distance(colour, level, level, level);
    return cube ? 16 + 36 * red + 6 * green + blue : 232 + grey;
}
